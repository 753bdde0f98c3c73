# Every scanners/<name>.cc defines `extern const Scanner k_<name>`: a format that is scanned is one file.
set(REGISTRY_FOLDER scan/scanners)
set(REGISTRY_TYPE Scanner)
set(REGISTRY_HEADER supply/scan/scanner.h)
set(REGISTRY_NAMESPACE lantern::supply::scan)
set(REGISTRY_FUNCTION all_scanners)
set(REGISTRY_PREFIX k_)

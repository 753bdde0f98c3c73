# Every models/<name>.cc defines `extern const Spec k_<name>`: an architecture is one file.
set(REGISTRY_FOLDER models)
set(REGISTRY_TYPE Spec)
set(REGISTRY_HEADER arch/spec.h)
set(REGISTRY_NAMESPACE lantern::arch)
set(REGISTRY_FUNCTION all_specs)
set(REGISTRY_PREFIX k_)

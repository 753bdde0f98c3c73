// Before the page is painted: the colours that were chosen here. In the head, and not a module, so
// that nothing flashes.
"use strict";
{
  let theme = null;
  try {
    theme = localStorage.getItem("lantern.theme");
  } catch {
    // Storage is switched off: the system's colours.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}

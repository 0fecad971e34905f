// Runs before the first paint, so that a chosen theme does not flash. The choice is "light", "dark" or nothing (as the system has it).
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* storage may be forbidden: then the system's theme it is */ }
})();

"use strict";
(() => {
  const form = document.getElementById("filter");
  const findings = [...document.querySelectorAll(".finding")];
  const buttons = [...document.querySelectorAll(".count")];
  const cells = new Map([...document.querySelectorAll(".cell")].map((c) => [c.dataset.for, c]));
  const texts = new Map(findings.map((f) => [f, f.textContent.toLowerCase()]));
  const wanted = () => ["verdict", "family", "severity"].map((key) => [key, form.elements[key].value]).filter(([, value]) => value);

  const apply = () => {
    const chosen = wanted();
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const f of findings) {
      const match = chosen.every(([key, value]) => f.dataset[key] === value) && words.every((w) => texts.get(f).includes(w));
      f.hidden = !match;
      cells.get(f.id)?.classList.toggle("filtered", !match);
      shown += match;
    }
    for (const b of buttons) b.setAttribute("aria-pressed", String(b.dataset.verdict === form.elements.verdict.value));
    document.getElementById("shown").textContent = `${shown} of ${findings.length}`;
    document.getElementById("nothing").hidden = shown > 0;
  };

  // A link leads to a finding that is shown and open, whatever the filter said.
  const follow = () => {
    const f = document.getElementById(location.hash.slice(1));
    if (!f?.classList.contains("finding")) return;
    if (f.hidden) {
      form.reset();
      apply();
    }
    f.open = true;
    f.scrollIntoView();
  };

  for (const b of buttons) {
    b.addEventListener("click", () => {
      const verdict = form.elements.verdict;
      verdict.value = verdict.value === b.dataset.verdict ? "" : b.dataset.verdict;
      apply();
    });
  }
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (e) => e.preventDefault());
  for (const c of cells.values()) {
    c.addEventListener("click", () => {
      if (location.hash === c.hash) follow();
    });
  }
  addEventListener("hashchange", follow);
  form.hidden = false;
  apply();
  follow();
})();

"use strict";
for (const card of document.querySelectorAll(".card")) {
  const strips = card.querySelectorAll(".strip");
  const slider = card.querySelector("input");
  const moment = card.querySelector("output");
  const button = card.querySelector("button");
  const moments = JSON.parse(card.dataset.moments);
  const columns = Number(card.dataset.columns);
  const rows = Math.ceil(moments.length / columns);
  const percent = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0) + "%";
  const show = (index) => {
    for (const strip of strips) {
      strip.style.backgroundPosition =
        percent(index % columns, columns) + " " + percent(Math.floor(index / columns), rows);
    }
    slider.value = index;
    slider.setAttribute("aria-valuetext", moments[index]);
    moment.textContent = moments[index];
  };
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "\u25B6";
    button.setAttribute("aria-label", "Play");
  };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  for (const strip of strips) {
    strip.addEventListener("pointermove", (event) => {
      const box = strip.getBoundingClientRect();
      const part = Math.min(0.999, Math.max(0, (event.clientX - box.left) / box.width));
      stop();
      show(Math.floor(part * moments.length));
    });
  }
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    button.textContent = "\u275A\u275A";
    button.setAttribute("aria-label", "Pause");
    timer = setInterval(() => show((Number(slider.value) + 1) % moments.length), 120);
  });
  show(0);
}

// Draws a scene (scene.py): pictures side by side, one pixel pointed at, one slider; for machines
// also what that pixel sees and believes. Names become text, never markup. No dependencies.
// In JupyterLab anywidget calls render({model, el}); in a page `page.js` does, with a still model.

const MARK = "#ffb000"; // the pixel: orange square with a dark rim, told apart by shape as well
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function make(parent, tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const numbers = (text, Kind) => new Kind(bytes(text).buffer);
const clamp = (value, most) => Math.min(Math.max(value, 0), most);
const percent = (share) => share >= 0.0995 ? `${(100 * share).toFixed(0)} %`
  : share >= 0.0005 ? `${(100 * share).toFixed(1)} %` : "below 0.1 %";

async function sheet({ src, columns }, height, width) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const all = context.getImageData(0, 0, canvas.width, canvas.height);
  const at = (tile, row, column) =>
    4 * ((Math.floor(tile / columns) * height + row) * canvas.width + (tile % columns) * width + column);
  return { canvas, all: all.data, at, left: (t) => (t % columns) * width, top: (t) => Math.floor(t / columns) * height };
}

function unpack(belief) {
  if (!belief) return null;
  return {
    ...belief,
    entropy: numbers(belief.entropy, Float32Array),
    tile: numbers(belief.tile, Uint32Array),
    row: numbers(belief.row, Uint16Array),
    column: numbers(belief.column, Uint16Array),
    weight: numbers(belief.weight, Float32Array),
    views: belief.views.map(bytes),
  };
}

class Explorer {
  constructor(model, el, scene) {
    [this.model, this.scene, this.size] = [model, scene, scene.size];
    this.belief = unpack(scene.belief);
    this.root = make(el, "section", { class: "archbias-explore", "aria-label": scene.title });
    make(this.root, "p", { class: "ax-title" }, scene.title);
    make(this.root, "p", { class: "ax-lead" }, scene.lead);
    this.controls();
    this.pictures();
    if (this.belief) this.patches = this.cards();
    this.status = make(this.root, "p", { class: "ax-status", role: "status", "aria-live": "polite" });
  }

  controls() {
    const bar = make(this.root, "div", { class: "ax-bar" });
    this.selects = this.scene.choices.map(({ name, values }, k) => {
      const label = make(bar, "label", {}, name + " ");
      const select = make(label, "select");
      values.forEach((value, i) => make(select, "option", { value: i }, value));
      select.addEventListener("change", () => {
        const choice = [...this.model.get("choice")];
        choice[k] = Number(select.value);
        this.put({ choice });
      });
      return select;
    });
    const { name, values } = this.scene.steps;
    const label = make(bar, "label", { class: "ax-slide" }, name + " ");
    this.value = make(label, "output");
    this.slider = make(label, "input", { type: "range", min: 0, max: values.length - 1, step: 1 });
    this.slider.addEventListener("input", () => this.put({ step: Number(this.slider.value) }));
  }

  pictures() {
    this.row = make(this.root, "div", { class: "ax-row" });
    const [height, width] = this.size;
    this.panels = this.scene.panels.map(({ label, hint }, k) => {
      const figure = make(this.row, "figure");
      const first = k === 0;
      const caption = make(figure, "figcaption");
      make(caption, "b", {}, label);
      make(caption, "span", {}, hint);
      const role = first
        ? { tabindex: 0, role: "application", "aria-label": `${label}: arrow keys move the pixel, page up and page down the ${this.scene.steps.name}` }
        : { role: "img", "aria-label": `${label}: ${hint}` };
      const frame = make(figure, "div", { class: "ax-frame", ...role });
      const canvas = make(frame, "canvas");
      const scale = Math.max(1, Math.round(280 / Math.max(height, width)));
      [canvas.width, canvas.height] = [width * scale, height * scale];
      const point = (event) => {
        const box = canvas.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * height);
        const column = Math.floor(((event.clientX - box.left) / box.width) * width);
        this.put({ pixel: [clamp(row, height - 1), clamp(column, width - 1)] });
      };
      canvas.addEventListener("pointerdown", point);
      canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType === "mouse" || event.buttons) point(event);
      });
      if (first) frame.addEventListener("keydown", (event) => this.key(event));
      const note = make(figure, "p", { class: "ax-note" });
      if (k === this.scene.panels.length - 1) this.legend(figure);
      return { canvas, scale, note };
    });
  }

  legend(figure) {
    const { src, low, high } = this.scene.scale;
    const line = make(figure, "p", { class: "ax-scale" });
    make(line, "span", {}, low);
    make(line, "img", { src, alt: `colours from ${low} to ${high}` });
    make(line, "span", {}, high);
  }

  cards() {
    const figure = document.createElement("figure");
    figure.className = "ax-belief";
    this.row.insertBefore(figure, this.row.children[1]);
    const caption = make(figure, "figcaption");
    make(caption, "b", {}, "2. Training patches");
    make(caption, "span", {}, "what it believes in, by weight");
    const list = make(figure, "ol", { "aria-label": "training patches by weight" });
    return Array.from({ length: this.belief.top }, () => {
      const item = make(list, "li");
      const canvas = make(item, "canvas", { role: "img" });
      const meter = make(item, "span", { class: "ax-meter" });
      const fill = make(meter, "span");
      const words = make(item, "span", { class: "ax-words" });
      return { item, canvas, fill, words };
    });
  }

  key(event) {
    const [row, column] = this.model.get("pixel");
    const step = this.model.get("step");
    const move = STEPS[event.key];
    const turn = { PageUp: -1, PageDown: 1 }[event.key];
    if (!move && !turn) return;
    event.preventDefault();
    const [height, width] = this.size;
    if (move) this.put({ pixel: [clamp(row + move[0], height - 1), clamp(column + move[1], width - 1)] });
    else this.put({ step: clamp(step + turn, this.scene.steps.values.length - 1) });
  }

  put(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  async load() {
    const [height, width] = this.size;
    this.tiles = await sheet(this.scene.tiles, height, width);
    if (this.belief) this.training = await sheet(this.belief.training, height, width);
  }

  place() { // the frame of the choice and step, and of the choice alone
    const choice = this.model.get("choice");
    const block = this.scene.choices.reduce((sum, { values }, k) => sum * values.length + choice[k], 0);
    return block * this.scene.steps.values.length + this.model.get("step");
  }

  draw() {
    if (!this.tiles) return;
    const [frame, step, [row, column]] = [this.place(), this.model.get("step"), this.model.get("pixel")];
    const [height, width] = this.size;
    this.model.get("choice").forEach((value, k) => { this.selects[k].value = String(value); });
    this.slider.value = String(step);
    this.value.textContent = this.scene.steps.values[step];
    this.slider.setAttribute("aria-valuetext", `${this.scene.steps.name} ${this.scene.steps.values[step]}`);
    const colors = this.panels.map(({ canvas, scale, note }, k) => {
      const tile = this.scene.frames[frame][k];
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.fillStyle = "#e8e8e8";
      context.fillRect(0, 0, canvas.width, canvas.height);
      note.textContent = tile < 0 ? "not in the store" : this.scene.words[frame][k];
      if (tile < 0) return null;
      const { left, top, at, all } = this.tiles;
      context.drawImage(this.tiles.canvas, left(tile), top(tile), width, height, 0, 0, canvas.width, canvas.height);
      if (k === 0 && this.belief) this.shade(context, scale, step, row, column);
      this.mark(context, scale, row, column);
      const pixel = at(tile, row, column);
      return [0, 1, 2].map((c) => all[pixel + c] / 127.5 - 1);
    });
    this.say(frame, step, row, column, colors);
  }

  sees(step, row, column) { // whether that pixel sees another
    const view = this.belief.views[this.belief.view_of[step]];
    const [height, width] = this.size;
    const start = (row * width + column) * height * width;
    return (r, c) => (view[(start + r * width + c) >> 3] >> ((start + r * width + c) & 7)) & 1;
  }

  shade(context, scale, step, row, column) { // what it does not see is veiled, the rest framed
    const [height, width] = this.size;
    const sees = this.sees(step, row, column);
    const inside = (r, c) => r >= 0 && c >= 0 && r < height && c < width && sees(r, c);
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        context.fillStyle = "rgba(255, 255, 255, .55)";
        if (!sees(r, c)) { context.fillRect(c * scale, r * scale, scale, scale); continue; }
        context.fillStyle = MARK;
        if (!inside(r - 1, c)) context.fillRect(c * scale, r * scale, scale, 2);
        if (!inside(r + 1, c)) context.fillRect(c * scale, (r + 1) * scale - 2, scale, 2);
        if (!inside(r, c - 1)) context.fillRect(c * scale, r * scale, 2, scale);
        if (!inside(r, c + 1)) context.fillRect((c + 1) * scale - 2, r * scale, 2, scale);
      }
    }
  }

  mark(context, scale, row, column) {
    const side = Math.max(scale, 8);
    const [x, y] = [(column + 0.5) * scale - side / 2, (row + 0.5) * scale - side / 2];
    context.lineWidth = 4;
    context.strokeStyle = "#000";
    context.strokeRect(x, y, side, side);
    context.lineWidth = 2;
    context.strokeStyle = MARK;
    context.strokeRect(x, y, side, side);
  }

  say(frame, step, row, column, colors) {
    const value = (k) => colors[k] && (colors[k].every((v) => v === colors[k][0]) ? colors[k].slice(0, 1) : colors[k])
      .map((v) => v.toFixed(2)).join(", ");
    const where = `Pixel in row ${row}, column ${column}`;
    if (!this.belief) {
      const other = value(1) ? `prediction ${value(1)}` : "no prediction of it in the store";
      this.status.textContent = `${where}: sample ${value(0) || "missing"}, ${other} (from -1 to 1).`;
      return;
    }
    const [height, width] = this.size;
    const { top, entropy, weight, tile, names } = this.belief;
    const pixel = (frame * height + row) * width + column;
    const shown = Array.from(weight.subarray(pixel * top, (pixel + 1) * top));
    this.patches.forEach((card, k) => {
      card.item.hidden = !(shown[k] > 0);
      card.fill.style.width = `${100 * shown[k]}%`;
      card.words.textContent = `${percent(shown[k])}, image ${names[tile[pixel * top + k]]}`;
      card.canvas.setAttribute("aria-label", `patch of training image ${names[tile[pixel * top + k]]}, weight ${percent(shown[k])}`);
      if (shown[k] > 0) this.patch(card.canvas, pixel * top + k, step, row, column);
    });
    const nats = entropy[pixel];
    const rest = Math.max(0, 1 - shown.reduce((sum, w) => sum + w, 0));
    this.status.textContent = `${where} at ${this.scene.steps.name} ${this.scene.steps.values[step]}: ` +
      `entropy ${nats.toFixed(2)} nats, as unsure as among ${Math.exp(nats).toPrecision(3)} equal patches; ` +
      `those not shown weigh ${percent(rest)}; estimate ${value(1)}.`;
  }

  patch(canvas, source, step, row, column) { // what the source shows where the pixel sees
    const [height, width] = this.size;
    const { tile, wraps } = this.belief;
    const [down, right] = [this.belief.row[source] - row, this.belief.column[source] - column];
    const sees = this.sees(step, row, column);
    const turn = (d, n) => (wraps ? ((((d + (n >> 1)) % n) + n) % n) - (n >> 1) : d);
    const seen = [];
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) if (sees(r, c)) seen.push([turn(r - row, height), turn(c - column, width), r, c]);
    const low = [0, 1].map((i) => Math.min(...seen.map((s) => s[i])));
    const span = [0, 1].map((i) => Math.max(...seen.map((s) => s[i])) - low[i] + 1);
    const scale = Math.max(1, Math.round(96 / Math.max(...span)));
    [canvas.height, canvas.width] = span.map((n) => n * scale);
    const context = canvas.getContext("2d");
    const inside = (v, n) => (wraps ? ((v % n) + n) % n : clamp(v, n - 1));
    for (const [r, c, y, x] of seen) {
      const from = this.training.at(tile[source], inside(y + down, height), inside(x + right, width));
      context.fillStyle = `rgb(${this.training.all.slice(from, from + 3).join(",")})`;
      context.fillRect((c - low[1]) * scale, (r - low[0]) * scale, scale, scale);
    }
    this.mark(context, scale, -low[0], -low[1]); // the pixel that is averaged
  }
}

async function render({ model, el }) {
  const explorer = new Explorer(model, el, model.get("scene"));
  await explorer.load();
  for (const name of ["choice", "step", "pixel"]) model.on(`change:${name}`, () => explorer.draw());
  explorer.draw();
  explorer.root.dataset.ready = "yes";
}

export default { render };

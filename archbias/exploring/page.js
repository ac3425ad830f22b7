// Every element with a scene becomes an explorer whose model is a plain object.
for (const el of document.querySelectorAll("[data-scene]")) {
  const scene = JSON.parse(el.dataset.scene);
  const { choice, step, row, column } = scene.start;
  const values = { scene, choice, step, pixel: [row, column] };
  const heard = {};
  const model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; for (const call of heard[`change:${name}`] || []) call(); },
    on: (name, call) => (heard[name] ||= []).push(call),
    save_changes: () => {},
  };
  render({ model, el });
}

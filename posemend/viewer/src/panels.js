// The side column: keypoints in the image, means over the clip, joints of the frame.

const cell = (text, tag = 'td') => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (tag === 'th') element.scope = 'row';
  return element;
};
const millimetres = (value) => (value === null || value === undefined || Number.isNaN(value) ? '–' : value.toFixed(1));

export class Keypoints {
  constructor(section) {
    this.section = section;
    this.canvas = section.querySelector('canvas');
    new ResizeObserver(() => this.pose(this.k)).observe(this.canvas);
  }

  show(keypoints) {
    this.section.hidden = !keypoints;
    this.data = keypoints;
    this.k = undefined;
    if (keypoints) this.#frameIt();
  }

  // What the keypoints cover over the clip (wild ones left out by quantiles), with a margin.
  #frameIt() {
    const { data } = this;
    const step = Math.max(1, Math.floor(data.shown / 600));
    const range = (c) => {
      const values = [];
      for (let k = 0; k < data.shown; k += step) {
        for (let j = 0; j < data.count; j++) if (data.present(k, j)) values.push(data.at(k, j, c));
      }
      if (!values.length) return [0, 1];
      values.sort((a, b) => a - b);
      const [low, high] = [0.005, 0.995].map((q) => values[Math.floor(q * (values.length - 1))]);
      const margin = 0.12 * (high - low) + 4;
      return [low - margin, high + margin];
    };
    const [left, right] = range(0);
    const [top, bottom] = range(1);
    this.box = { left, top, width: Math.max(right - left, 1), height: Math.max(bottom - top, 1) };
  }

  pose(k) {
    this.k = k;
    const { data, canvas, box } = this;
    if (!data || k === undefined || !canvas.clientWidth) return;
    const ratio = Math.min(devicePixelRatio, 2);
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const pen = canvas.getContext('2d');
    const scale = Math.min(canvas.width / box.width, canvas.height / box.height);
    const shift = [(canvas.width - box.width * scale) / 2, (canvas.height - box.height * scale) / 2];
    pen.translate(...shift);
    const css = getComputedStyle(document.documentElement);
    pen.fillStyle = css.getPropertyValue('--page');
    if (data.width && data.height) { // the image; what lies outside stays the colour of the panel
      pen.fillRect(-box.left * scale, -box.top * scale, data.width * scale, data.height * scale);
    } else {
      pen.fillRect(-shift[0], -shift[1], canvas.width, canvas.height);
    }
    const x = (j) => (data.at(k, j, 0) - box.left) * scale;
    const y = (j) => (data.at(k, j, 1) - box.top) * scale;
    const colour = (j) => css.getPropertyValue(`--${data.side[j]}`);
    data.bones.forEach(([from, to]) => {
      if (!data.present(k, from) || !data.present(k, to)) return;
      const seen = data.visible(k, from) && data.visible(k, to);
      pen.setLineDash(seen ? [] : [3 * ratio, 3 * ratio]);
      pen.lineWidth = (seen ? 2 : 1.5) * ratio;
      pen.strokeStyle = colour(data.side[to] === 'middle' ? from : to);
      pen.beginPath();
      pen.moveTo(x(from), y(from));
      pen.lineTo(x(to), y(to));
      pen.stroke();
    });
    pen.setLineDash([]);
    pen.lineWidth = 1.5 * ratio;
    for (let j = 0; j < data.count; j++) {
      if (!data.present(k, j)) continue;
      pen.fillStyle = data.visible(k, j) ? colour(j) : css.getPropertyValue('--panel');
      pen.strokeStyle = colour(j);
      pen.beginPath();
      pen.arc(x(j), y(j), 2.6 * ratio, 0, 7);
      pen.fill();
      pen.stroke();
    }
  }
}

export function showMeans(section, scene) {
  const layers = scene.poses.filter((layer) => layer.means);
  section.hidden = layers.length === 0;
  section.querySelector('tbody').replaceChildren(...layers.map((layer) => {
    const row = document.createElement('tr');
    const head = cell('', 'th');
    const key = document.createElement('span');
    key.className = 'key';
    key.style.setProperty('--key', `var(${layer.colour})`);
    key.textContent = layer.label;
    head.append(key);
    row.append(head, ...['visible', 'hidden', 'all'].map((part) => cell(millimetres(layer.means[part]))));
    return row;
  }));
}

export class JointTable {
  constructor(section) {
    this.choice = section.querySelector('select');
    this.note = section.querySelector('p');
    this.table = section.querySelector('table');
    this.choice.addEventListener('change', () => this.#rows());
  }

  show(scene) {
    this.scene = scene;
    this.k = undefined;
    this.choice.replaceChildren(...scene.layers.map((layer) => new Option(layer.label)));
    const first = scene.layers.findIndex((layer) => layer.role === 'refined');
    this.choice.selectedIndex = Math.max(0, first);
    this.choice.hidden = scene.layers.length < 2;
    this.#rows();
  }

  #rows() {
    this.layer = this.scene.layers[this.choice.selectedIndex];
    this.table.classList.toggle('measured', Boolean(this.layer.error));
    this.table.classList.toggle('doubted', Boolean(this.layer.sigma));
    this.note.textContent = this.layer.axes === 'z-up'
      ? 'mm from the pelvis, z up'
      : 'mm from the pelvis: x right, y down, z away from the camera';
    this.rows = this.layer.joints.map((name, j) => {
      const row = document.createElement('tr');
      const head = cell(name, 'th');
      head.className = this.layer.side[j];
      row.append(head, ...Array.from({ length: 7 }, () => cell('')));
      return row;
    });
    this.table.querySelector('tbody').replaceChildren(...this.rows);
    this.pose(this.k);
  }

  pose(k) {
    this.k = k;
    if (!this.scene || k === undefined) return;
    const { layer } = this;
    this.rows.forEach((row, j) => {
      const there = layer.present(k, j);
      const seen = layer.visible(k, j);
      row.classList.toggle('hidden-joint', !seen);
      [0, 1, 2].forEach((c) => {
        row.cells[1 + c].textContent = there ? Math.round(1000 * layer.at(k, j, c)) : '–';
      });
      row.cells[4].textContent = seen ? 'yes' : there ? 'hidden' : 'absent';
      row.cells[5].textContent = layer.provenance(k, j) ?? '';
      row.cells[6].textContent = layer.sigma ? Math.round(1000 * layer.sigma(k, j)) : '';
      row.cells[7].textContent = layer.error ? millimetres(layer.error(k, j)) : '';
    });
  }
}

// Strip of hidden joints and error curves over time, with a playhead; drag to scrub.

const PARTS = [['all', 'Error, all joints'], ['hidden', 'Error, hidden joints']];
const EDGE = 8; // half a slider thumb, so that the playhead stands under the slider's

function canvasFor(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = Math.min(devicePixelRatio, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  return { pen, width, height };
}

function quantile(curves, q) {
  const values = curves.flatMap((curve) => Array.from(curve)).filter((value) => !Number.isNaN(value));
  values.sort((a, b) => a - b);
  return values.length ? values[Math.min(values.length - 1, Math.floor(q * values.length))] : 0;
}

// a round number, at least the given value
function round(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

export class Timeline {
  constructor(root, onFrame) {
    this.root = root;
    this.strip = root.querySelector('#strip canvas');
    this.stripText = root.querySelector('#strip output');
    this.charts = root.querySelector('#charts');
    this.head = root.querySelector('#playhead');
    const seek = (event) => {
      const box = this.strip.getBoundingClientRect();
      const share = (event.clientX - box.left - EDGE) / (box.width - 2 * EDGE);
      onFrame(Math.round(Math.min(1, Math.max(0, share)) * (this.scene.shown - 1)));
    };
    root.addEventListener('pointerdown', (event) => {
      root.setPointerCapture(event.pointerId);
      seek(event);
    });
    root.addEventListener('pointermove', (event) => {
      if (root.hasPointerCapture(event.pointerId)) seek(event);
    });
    new ResizeObserver(() => this.paint()).observe(root);
  }

  show(scene) {
    this.scene = scene;
    this.k = undefined; // the old clip's frame may not exist here
    const measured = scene.poses.filter((layer) => layer.curves);
    this.rows = measured.length
      ? PARTS.filter(([part]) => part === 'all' || scene.hiddenCount.some((count) => count > 0))
      : [];
    this.charts.replaceChildren(...this.rows.map(([part, title]) => this.#row(part, title, measured)));
    this.tops = Object.fromEntries(this.rows.map(([part]) =>
      [part, round(quantile(measured.map((layer) => layer.curves[part]), 0.995))]));
    this.paint();
  }

  #row(part, title, layers) {
    const row = document.createElement('div');
    row.className = 'chart';
    row.dataset.part = part;
    const line = document.createElement('p');
    line.append(title);
    layers.forEach((layer) => {
      const key = document.createElement('span');
      key.className = 'key';
      key.style.setProperty('--key', `var(${layer.colour})`);
      const value = document.createElement('output');
      value.dataset.layer = layer.label;
      key.append(`${layer.label} `, value);
      line.append(key);
    });
    row.append(line, document.createElement('canvas'));
    return row;
  }

  paint() {
    if (!this.scene) return;
    this.#paintStrip();
    this.rows.forEach(([part], i) => this.#paintChart(this.charts.children[i].querySelector('canvas'), part));
    if (this.k !== undefined) this.mark(this.k);
  }

  #x(k, width) {
    return EDGE + (this.scene.shown > 1 ? k / (this.scene.shown - 1) : 0) * (width - 2 * EDGE);
  }

  #paintStrip() {
    const { hiddenCount, hiddenOf, shown } = this.scene;
    const { pen, width, height } = canvasFor(this.strip);
    const css = getComputedStyle(document.documentElement);
    pen.fillStyle = css.getPropertyValue('--line');
    pen.fillRect(EDGE, 0, width - 2 * EDGE, height);
    pen.fillStyle = css.getPropertyValue('--hidden');
    // One column of pixels takes the most hidden of its frames: short gaps stay visible in long clips.
    const most = new Uint8Array(Math.ceil(width) + 1);
    const wide = Math.max(1, (width - 2 * EDGE) / Math.max(1, shown - 1));
    for (let k = 0; k < shown; k++) {
      const from = Math.max(EDGE, this.#x(k, width) - wide / 2);
      const to = Math.min(width - EDGE, this.#x(k, width) + wide / 2);
      for (let x = Math.floor(from); x < Math.max(to, Math.floor(from) + 1); x++) {
        most[x] = Math.max(most[x], hiddenCount[k]);
      }
    }
    most.forEach((count, x) => {
      if (!count) return;
      pen.globalAlpha = 0.3 + 0.7 * Math.min(1, count / (hiddenOf * 0.6));
      pen.fillRect(x, 0, 1, height);
    });
  }

  #paintChart(canvas, part) {
    const { pen, width, height } = canvasFor(canvas);
    const css = getComputedStyle(document.documentElement);
    const top = this.tops[part];
    const y = (value) => height - 2 - (Math.min(value, top) / top) * (height - 6);
    pen.font = `11px ${css.getPropertyValue('--font')}`;
    pen.lineWidth = 1;
    [0, top / 2, top].forEach((value) => {
      pen.strokeStyle = css.getPropertyValue('--line');
      pen.beginPath();
      pen.moveTo(EDGE, Math.round(y(value)) + 0.5);
      pen.lineTo(width - EDGE, Math.round(y(value)) + 0.5);
      pen.stroke();
    });
    this.scene.poses.forEach((layer) => {
      pen.strokeStyle = css.getPropertyValue(layer.colour);
      pen.fillStyle = pen.strokeStyle;
      pen.lineWidth = 1.6;
      pen.lineJoin = 'round';
      this.#line(pen, layer.curves[part], width, y);
    });
    pen.fillStyle = css.getPropertyValue('--muted');
    pen.textBaseline = 'top';
    pen.strokeStyle = css.getPropertyValue('--panel');
    pen.lineWidth = 3;
    const label = `${top} mm`;
    pen.strokeText(label, EDGE + 3, y(top) + 2);
    pen.fillText(label, EDGE + 3, y(top) + 2);
  }

  #line(pen, curve, width, y) {
    let run = 0;
    pen.beginPath();
    for (let k = 0; k <= curve.length; k++) {
      const gap = k === curve.length || Number.isNaN(curve[k]);
      if (gap && run === 1) pen.fillRect(this.#x(k - 1, width) - 1, y(curve[k - 1]) - 1, 2, 2); // a lone frame
      if (gap) run = 0;
      else if (run++ === 0) pen.moveTo(this.#x(k, width), y(curve[k]));
      else pen.lineTo(this.#x(k, width), y(curve[k]));
    }
    pen.stroke();
  }

  mark(k) {
    this.k = k;
    const { scene } = this;
    this.head.style.transform = `translateX(${this.#x(k, this.strip.clientWidth)}px)`;
    const names = scene.hiddenNames(k);
    this.stripText.textContent = names.length ? `${names.length} of ${scene.hiddenOf}: ${names.join(', ')}` : 'none';
    this.rows.forEach(([part], i) => {
      this.charts.children[i].querySelectorAll('output').forEach((output) => {
        const layer = scene.poses.find((pose) => pose.label === output.dataset.layer);
        const value = layer.curves[part][k];
        output.textContent = Number.isNaN(value) ? '–' : `${value.toFixed(1)} mm`;
      });
    });
  }
}

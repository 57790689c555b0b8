// posemend viewer: state and wiring. Data and numbers are in data.js, drawing in the other files.
import { numbers, readScenes } from './data.js';
import { JointTable, Keypoints, showMeans } from './panels.js';
import { Stage } from './stage.js';
import { Timeline } from './timeline.js';

const $ = (selector) => document.querySelector(selector);
const scenes = readScenes($('#posemend-data').textContent);
const state = { scene: scenes[0], k: 0, playing: false, speed: 1, since: 0, from: 0 };

const stage = makeStage();
const timeline = new Timeline($('#plots'), (k) => seek(k));
const keypoints = new Keypoints($('#keypoints'));
const table = new JointTable($('#joints'));

function makeStage() {
  try {
    return new Stage($('#view'), showLabels);
  } catch (error) {
    const note = $('#trouble');
    note.hidden = false;
    note.textContent = `The 3D view needs WebGL, which this browser does not offer (${error.message}). `
      + 'Curves and tables work. Switch on hardware acceleration, or open the file in another browser.';
    return null;
  }
}

function showLabels(panels) {
  $('#labels').replaceChildren(...panels.map((layers) => {
    const label = document.createElement('div');
    label.append(...layers.map((layer) => {
      const key = document.createElement('span');
      key.className = 'key';
      key.style.setProperty('--key', `var(${layer.colour})`);
      key.textContent = layer.label;
      return key;
    }));
    return label;
  }));
}

function show(person) {
  const { scene } = Object.assign(state, { scene: scenes[person], k: 0 });
  $('#person').selectedIndex = person;
  $('#heading').textContent = scene.title || 'posemend';
  document.title = $('#heading').textContent;
  $('#scrubber').max = scene.shown - 1;
  const notes = [`${scene.frames} frame${scene.frames === 1 ? '' : 's'} at ${+scene.fps.toFixed(2)} fps`];
  if (scene.stride > 1) {
    notes.push(`long clip: one frame in ${scene.stride} is in this file; the means are over all frames`);
  }
  $('#note').textContent = notes.join(' · ');
  $('#flags').textContent = `(flags of ${scene.layers[scene.flags_from].label})`;
  $('#ghost').hidden = !scene.truth || scene.poses.length === 0;
  $('#legend-truth').hidden = !scene.truth;
  $('#haloes').hidden = !scene.layers.some((layer) => layer.region);
  $('#depth').hidden = !scene.cloud;
  $('#legend-depth').hidden = !scene.cloud;
  $('#modes').hidden = scene.poses.length < 2;
  keypoints.show(scene.keypoints);
  showMeans($('#means'), scene);
  timeline.show(scene);
  table.show(scene);
  stage?.show(scene);
  seek(0);
}

// Go to an embedded frame; while playing, go on from there.
function seek(k) {
  state.from = k;
  state.since = performance.now();
  draw(k);
}

function draw(k) {
  const { scene } = state;
  state.k = Math.min(scene.shown - 1, Math.max(0, k));
  stage?.pose(state.k);
  timeline.mark(state.k);
  keypoints.pose(state.k);
  table.pose(state.k);
  const frame = state.k * scene.stride;
  $('#scrubber').value = state.k;
  $('#scrubber').setAttribute('aria-valuetext', `frame ${frame}`);
  $('#clock').textContent = `${(frame / scene.fps).toFixed(2)} s · frame ${frame} of ${scene.frames}`;
}

function tick(now) {
  if (!state.playing) return;
  const { scene } = state;
  const passed = ((now - state.since) / 1000) * state.speed * (scene.fps / scene.stride);
  const k = (state.from + Math.max(0, Math.floor(passed))) % scene.shown;
  if (k !== state.k) draw(k);
  requestAnimationFrame(tick);
}

function play(on) {
  if (state.playing === on) return;
  state.playing = on;
  $('#play').setAttribute('aria-pressed', on);
  $('#play').setAttribute('aria-label', on ? 'Pause' : 'Play');
  seek(state.k);
  if (on) requestAnimationFrame(tick);
}

function choose(group, name) {
  document.querySelectorAll(`[data-${group}]`).forEach((button) =>
    button.setAttribute('aria-pressed', button.dataset[group] === name));
}

function setMode(mode) {
  choose('mode', mode);
  setColours(mode === 'overlay' ? 'layer' : 'side');
  stage?.set({ overlay: mode === 'overlay' });
}

function setColours(colours) {
  choose('colours', colours);
  document.body.classList.toggle('by-layer', colours === 'layer');
  stage?.set({ byLayer: colours === 'layer' });
}

function wire() {
  $('#person').replaceChildren(...scenes.map((scene, i) => new Option(scene.title || `person ${i + 1}`)));
  $('#person').parentElement.hidden = scenes.length < 2;
  $('#person').addEventListener('change', (event) => show(event.target.selectedIndex));
  $('#play').addEventListener('click', () => play(!state.playing));
  $('#before').addEventListener('click', () => seek(state.k - 1));
  $('#after').addEventListener('click', () => seek(state.k + 1));
  $('#scrubber').addEventListener('input', (event) => seek(Number(event.target.value)));
  $('#speed').addEventListener('change', (event) => {
    state.speed = Number(event.target.value);
    seek(state.k);
  });
  $('#truth').addEventListener('change', (event) => stage?.set({ truth: event.target.checked }));
  $('#doubt').addEventListener('change', (event) => stage?.set({ doubt: event.target.checked }));
  $('#cloud').addEventListener('change', (event) => stage?.set({ points: event.target.checked }));
  $('#share').addEventListener('input', (event) => {
    stage?.set({ share: Number(event.target.value) / 100 });
  });
  document.querySelectorAll('[data-mode]').forEach((b) => b.addEventListener('click', () => setMode(b.dataset.mode)));
  document.querySelectorAll('[data-colours]').forEach((b) =>
    b.addEventListener('click', () => setColours(b.dataset.colours)));
  $('#angle').addEventListener('change', (event) => {
    stage?.look(event.target.value);
    event.target.value = '';
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    stage?.paint();
    timeline.paint();
    draw(state.k);
  });
  document.addEventListener('keydown', keys);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select')) return;
  const pace = event.shiftKey ? 10 : 1;
  const actions = {
    ' ': () => play(!state.playing),
    ArrowLeft: () => seek(state.k - pace),
    ArrowRight: () => seek(state.k + pace),
    Home: () => seek(0),
    End: () => seek(state.scene.shown - 1),
    o: () => setMode($('[data-mode=overlay]').getAttribute('aria-pressed') === 'true' ? 'beside' : 'overlay'),
    t: () => $('#truth').click(),
    e: () => $('#doubt').click(),
    d: () => $('#cloud').click(),
  };
  const action = actions[event.key];
  // The space bar keeps its meaning on buttons and boxes.
  if (!action || (event.key === ' ' && event.target.matches('button, input[type=checkbox]'))) return;
  event.preventDefault();
  action();
}

window.posemend = {
  ready: false,
  get frame() { return state.k * state.scene.stride; },
  get playing() { return state.playing; },
  setFrame: (frame) => seek(Math.round(frame / state.scene.stride)),
  setPerson: (person) => show(person),
  play: () => play(true),
  pause: () => play(false),
  numbers: () => ({ ...numbers(state.scene, state.k), points: stage?.drawnPoints() ?? null }),
};

wire();
show(0);
window.posemend.ready = true;

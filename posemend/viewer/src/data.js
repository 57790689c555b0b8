// The embedded data: decoding it, and every number that the page shows.

const VISIBLE = 1;
const PRESENT = 2;
const KNOWN = 4;
const PROVENANCE = [null, 'measured', 'repaired', 'inferred']; // by the bits above

function bytes(text) {
  const letters = atob(text);
  const out = new Uint8Array(letters.length);
  for (let i = 0; i < out.length; i++) out[i] = letters.charCodeAt(i);
  return out;
}

// {joints, positions, flags, …} as written by html.py -> the same with typed arrays and readers
function joints(packed) {
  const raw = bytes(packed.positions).buffer;
  const numbers = packed.type === 'int16' ? new Int16Array(raw) : new Float32Array(raw);
  const flags = bytes(packed.flags);
  const count = packed.joints.length;
  const size = numbers.length / flags.length;
  const bit = (mask) => (k, j) => (flags[k * count + j] & mask) !== 0;
  const steps = packed.sigma ? bytes(packed.sigma) : null;
  const regions = packed.region ? bytes(packed.region) : null;
  return {
    ...packed,
    count,
    shown: flags.length / count,
    at: (k, j, c) => numbers[(k * count + j) * size + c] * packed.scale,
    visible: bit(VISIBLE),
    present: bit(PRESENT),
    known: bit(KNOWN),
    sigma: steps && ((k, j) => steps[k * count + j] * packed.sigma_step), // expected error, metres
    region: regions && ((k, j) => regions[k * count + j] * packed.region_step), // radius of the 90 % region, metres
    provenance: (k, j) => PROVENANCE[flags[k * count + j] >> 3],
    side: packed.joints.map((name) => ({ l_: 'left', r_: 'right' })[name.slice(0, 2)] ?? 'middle'),
  };
}

// Points of depth, and where each layer stands among them: metres from the anchor that points are measured from.
function cloud(packed, layers) {
  if (!packed) return null;
  let next = 0;
  const starts = packed.counts.map((count) => (next += count) - count);
  packed.shifts.forEach((text, i) => { layers[i].shifts = new Float32Array(bytes(text).buffer); });
  return { ...packed, starts, numbers: new Int16Array(bytes(packed.points).buffer) };
}

export function readScenes(text) {
  return JSON.parse(text).map((packed, person) => {
    const layers = packed.layers.map(joints);
    const scene = {
      ...packed,
      person,
      layers,
      keypoints: packed.keypoints && joints(packed.keypoints),
      cloud: cloud(packed.cloud, layers),
      shown: layers[0].shown,
      truth: layers.find((layer) => layer.role === 'truth') ?? null,
      poses: layers.filter((layer) => layer.role !== 'truth'),
    };
    nameColours(scene);
    markHidden(scene);
    if (scene.truth) scene.poses.forEach((layer) => measure(scene, layer));
    return scene;
  });
}

function nameColours(scene) {
  const spare = ['--extra-1', '--extra-2', '--extra-3'];
  const used = new Set();
  scene.layers.forEach((layer) => {
    layer.colour = used.has(layer.role) ? spare.shift() : `--${layer.role}`;
    used.add(layer.role);
  });
}

// Which joints count as hidden, by the layer that knows best.
function markHidden(scene) {
  const flags = scene.layers[scene.flags_from];
  const place = new Map(flags.joints.map((name, j) => [name, j]));
  scene.isHidden = (k, name) => place.has(name) && !flags.visible(k, place.get(name));
  scene.hiddenNames = (k) => flags.joints.filter((_, j) => !flags.visible(k, j));
  scene.hiddenOf = flags.count;
  scene.hiddenCount = Uint8Array.from({ length: scene.shown }, (_, k) => scene.hiddenNames(k).length);
}

// Where a pose is measured from: the mean of the given joints; with none given, its own pelvis, which is at 0.
function origin(layer, roots) {
  if (!roots.length) return (k) => (layer.known(k, 0) ? 0 : NaN);
  return (k, c) => roots.reduce((sum, j) => sum + (layer.present(k, j) ? layer.at(k, j, c) : NaN), 0) / roots.length;
}

// Errors in mm per joint and frame, and their means per frame (NaN where there is nothing to measure).
function measure(scene, layer) {
  const { truth, shown } = scene;
  const twins = layer.joints.map((name) => truth.joints.indexOf(name));
  const here = origin(layer, layer.roots.layer);
  const there = origin(truth, layer.roots.truth);
  layer.error = (k, j) => {
    const t = twins[j];
    if (t < 0 || !layer.present(k, j) || !truth.present(k, t)) return NaN;
    let square = 0;
    for (let c = 0; c < 3; c++) {
      square += ((layer.at(k, j, c) - here(k, c)) - (truth.at(k, t, c) - there(k, c))) ** 2;
    }
    return 1000 * Math.sqrt(square);
  };
  layer.curves = { all: new Float32Array(shown), visible: new Float32Array(shown), hidden: new Float32Array(shown) };
  for (let k = 0; k < shown; k++) {
    const sum = { visible: 0, hidden: 0 };
    const count = { visible: 0, hidden: 0 };
    for (let j = 0; j < layer.count; j++) {
      const error = layer.counted[j] ? layer.error(k, j) : NaN;
      if (Number.isNaN(error)) continue;
      const part = scene.isHidden(k, layer.joints[j]) ? 'hidden' : 'visible';
      sum[part] += error;
      count[part] += 1;
    }
    layer.curves.visible[k] = sum.visible / count.visible;
    layer.curves.hidden[k] = sum.hidden / count.hidden;
    layer.curves.all[k] = (sum.visible + sum.hidden) / (count.visible + count.hidden);
  }
}

const orNull = (value) => (Number.isNaN(value) ? null : value);

// What the page says about frame k, as plain values.
export function numbers(scene, k) {
  return {
    person: scene.person,
    frame: k * scene.stride,
    seconds: (k * scene.stride) / scene.fps,
    frames: scene.frames,
    stride: scene.stride,
    hidden: scene.hiddenNames(k),
    layers: scene.layers.map((layer) => ({
      label: layer.label,
      role: layer.role,
      means_mm: layer.means,
      error_mm: layer.curves
        ? Object.fromEntries(Object.entries(layer.curves).map(([part, curve]) => [part, orNull(curve[k])]))
        : null,
      joints: layer.joints.map((name, j) => ({
        joint: name,
        position_mm: layer.present(k, j) ? [0, 1, 2].map((c) => 1000 * layer.at(k, j, c)) : null,
        visible: layer.visible(k, j),
        sigma_mm: layer.sigma ? 1000 * layer.sigma(k, j) : null,
        region_mm: layer.region ? 1000 * layer.region(k, j) : null,
        provenance: layer.provenance(k, j),
        error_mm: layer.error ? orNull(layer.error(k, j)) : null,
      })),
    })),
  };
}

// MoveNet Lightning on raw RGB frames from standard input; called by detect.py.
//   node detect_movenet.cjs NODE_MODULES WIDTH HEIGHT < frames > keypoints.json
// Prints [[[x, y, score] 17 times] per frame], pixels.
const fs = require("fs");
const path = require("path");

const [, , modules, wide, high] = process.argv;
const width = Number(wide);
const height = Number(high);
const load = (name) => require(path.join(modules, name));
const tf = load("@tensorflow/tfjs-core");
const converter = load("@tensorflow/tfjs-converter");
load("@tensorflow/tfjs-backend-cpu");
const wasm = load("@tensorflow/tfjs-backend-wasm");

const SIDE = 192; // what the network takes
const SURE = 0.2; // keypoints that the next frame is cut out round
const MARGIN = 1.3;

// A square of the image (x, y, side), bilinear; black outside of it.
function cutOut(frame, [left, top, side]) {
  const out = new Int32Array(SIDE * SIDE * 3);
  const step = side / SIDE;
  for (let v = 0; v < SIDE; v++) {
    for (let u = 0; u < SIDE; u++) {
      const x = left + (u + 0.5) * step - 0.5;
      const y = top + (v + 0.5) * step - 0.5;
      const x0 = Math.floor(x);
      const y0 = Math.floor(y);
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (const [px, wx] of [[x0, 1 - x + x0], [x0 + 1, x - x0]]) {
          for (const [py, wy] of [[y0, 1 - y + y0], [y0 + 1, y - y0]]) {
            if (px >= 0 && py >= 0 && px < width && py < height) sum += wx * wy * frame[(py * width + px) * 3 + channel];
          }
        }
        out[(v * SIDE + u) * 3 + channel] = Math.round(sum);
      }
    }
  }
  return out;
}

// Where to look in the next frame: round what was found, or everywhere.
function around(keypoints) {
  const sure = keypoints.filter((point) => point[2] > SURE);
  if (sure.length < 8) {
    const side = Math.max(width, height);
    return [(width - side) / 2, (height - side) / 2, side];
  }
  const xs = sure.map((point) => point[0]);
  const ys = sure.map((point) => point[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const side = MARGIN * Math.max(right - left, bottom - top);
  return [(left + right - side) / 2, (top + bottom - side) / 2, side];
}

async function main() {
  wasm.setWasmPaths(path.join(modules, "@tensorflow/tfjs-backend-wasm/dist/"));
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  const stem = path.join(modules, "@vladmandic/human/models/movenet-lightning");
  const graph = JSON.parse(fs.readFileSync(`${stem}.json`));
  const weights = fs.readFileSync(`${stem}.bin`);
  const network = await converter.loadGraphModel({
    load: async () => ({
      format: graph.format,
      modelTopology: graph.modelTopology,
      signature: graph.signature,
      weightSpecs: graph.weightsManifest[0].weights,
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length),
    }),
  });
  const frame = Buffer.alloc(width * height * 3);
  const found = [];
  let filled = 0;
  let square = around([]);
  for await (const chunk of process.stdin) {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(chunk.length - at, frame.length - filled);
      chunk.copy(frame, filled, at, at + taken);
      filled += taken;
      at += taken;
      if (filled < frame.length) continue;
      filled = 0;
      const answer = tf.tidy(() => network.execute(tf.tensor4d(cutOut(frame, square), [1, SIDE, SIDE, 3], "int32")));
      const said = answer.dataSync();
      answer.dispose();
      const [left, top, side] = square;
      const place = (j) => [left + said[3 * j + 1] * side, top + said[3 * j] * side, said[3 * j + 2]];
      found.push(Array.from({ length: 17 }, (_, j) => place(j)));
      square = around(found[found.length - 1]);
    }
  }
  process.stdout.write(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

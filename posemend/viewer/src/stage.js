// The 3D view: one camera that can be turned, one panel a pose or all poses in one panel.
import {
  DirectionalLight, GridHelper, HemisphereLight, PerspectiveCamera, Scene, Vector3, WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js';
import { Cloud } from './cloud.js';
import { Figure, toDisplay } from './figure.js';

const FIELD = 30; // degrees
const VIEWS = { camera: [0, 0], quarter: [28, 12], side: [90, 4], back: [180, 4], top: [0, 89] };

export class Stage {
  constructor(canvas, onPanels) {
    this.canvas = canvas;
    this.onPanels = onPanels;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.autoClear = false;
    this.world = new Scene();
    this.world.add(new HemisphereLight(0xffffff, 0x8890a0, 2.6));
    const sun = new DirectionalLight(0xffffff, 1.4);
    sun.position.set(1, 3, 2);
    this.world.add(sun);
    this.camera = new PerspectiveCamera(FIELD, 1, 0.05, 100);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = false;
    this.controls.addEventListener('change', () => this.request());
    this.figures = [];
    this.options = { overlay: false, byLayer: false, truth: true, doubt: false, points: true, share: 1 };
    this.fit = 1;
    this.k = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(scene) {
    this.figures.forEach((figure) => {
      this.world.remove(figure.group);
      figure.dispose();
    });
    if (this.cloud) {
      this.world.remove(this.cloud.group);
      this.cloud.dispose();
    }
    this.cloud = scene.cloud && new Cloud(scene.cloud);
    if (this.cloud) this.world.add(this.cloud.group);
    this.scene = scene;
    this.figures = scene.layers.map((layer) => new Figure(layer));
    this.figures.forEach((figure) => this.world.add(figure.group));
    this.#measure();
    this.layout();
    this.look('quarter');
  }

  // Where the person is over the whole clip: height range, reach, floor. Wild joints are left out by quantiles.
  #measure() {
    const { scene } = this;
    const layer = scene.truth ?? scene.poses.find((pose) => pose.role === 'refined') ?? scene.poses[0];
    const tops = [];
    const lows = [];
    const reaches = [];
    const point = new Vector3();
    const step = Math.max(1, Math.floor(scene.shown / 600));
    for (let k = 0; k < scene.shown; k += step) {
      let [top, low, reach] = [-Infinity, Infinity, 0];
      for (let j = 0; j < layer.count; j++) {
        if (!layer.present(k, j)) continue;
        toDisplay(layer, k, j, point);
        top = Math.max(top, point.y);
        low = Math.min(low, point.y);
        reach = Math.max(reach, Math.hypot(point.x, point.z));
      }
      if (reach === 0 && top === -Infinity) continue;
      tops.push(top);
      lows.push(low);
      reaches.push(reach);
    }
    const quantile = (list, q) => list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
    const top = Math.max(quantile(tops, 0.98) ?? 0.8, 0.1);
    this.floor = Math.min(quantile(lows, 0.1) ?? -1, -0.05);
    const low = Math.min(quantile(lows, 0.02) ?? -1, this.floor);
    this.tall = top - low;
    this.middle = new Vector3(0, (top + low) / 2 + 0.03 * this.tall, 0); // buttons and labels are above
    this.reach = Math.max(quantile(reaches, 0.98) ?? 0.6, 0.3);
    this.world.remove(this.grid);
    this.grid = new GridHelper(2, 8);
    this.grid.position.y = this.floor - 0.03;
    this.world.add(this.grid);
    this.paint();
  }

  // Panels from left to right, each a list of figures.
  layout() {
    const truth = this.figures.filter((figure) => figure.ghost);
    const poses = this.figures.filter((figure) => !figure.ghost);
    const ghosts = this.options.truth || poses.length === 0 ? truth : [];
    this.panels = this.options.overlay || poses.length < 2
      ? [[...poses, ...ghosts]]
      : poses.map((pose) => [pose, ...ghosts]);
    this.onPanels(this.panels.map((panel) => panel.filter((figure) => !figure.ghost).map((figure) => figure.layer)));
    this.resize();
  }

  set(options) {
    Object.assign(this.options, options);
    this.paint();
    this.layout();
    this.pose(this.k);
  }

  paint() {
    const css = getComputedStyle(document.documentElement);
    const read = (name) => css.getPropertyValue(name).trim();
    const colours = { left: read('--left'), right: read('--right'), middle: read('--middle'), paper: read('--panel') };
    this.figures.forEach((figure) =>
      figure.paint(colours, figure.ghost || this.options.byLayer ? read(figure.layer.colour) : null));
    this.cloud?.paint(read('--muted'), read('--line'));
    this.grid.material.vertexColors = false;
    this.grid.material.color.set(read('--grid'));
    this.grid.material.needsUpdate = true;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height || !this.panels) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    const aspect = width / this.panels.length / height;
    const half = Math.tan((FIELD * Math.PI) / 360);
    const fit = 1.2 * Math.max(this.tall / 2 / half, this.reach / (half * aspect)) + this.reach * 0.6;
    this.camera.aspect = aspect;
    this.camera.updateProjectionMatrix();
    // A changed panel keeps the reader's own zoom and angle.
    this.camera.position.sub(this.controls.target).multiplyScalar(fit / this.fit).add(this.controls.target);
    this.fit = fit;
    this.controls.minDistance = fit * 0.1;
    this.controls.maxDistance = fit * 4;
    this.controls.update();
    this.request();
  }

  look(view) {
    const [turn, lift] = VIEWS[view].map((angle) => (angle * Math.PI) / 180);
    const away = new Vector3(Math.sin(turn) * Math.cos(lift), Math.sin(lift), Math.cos(turn) * Math.cos(lift));
    this.controls.target.copy(this.middle);
    this.camera.position.copy(this.middle).addScaledVector(away, this.fit);
    this.controls.update();
    this.request();
  }

  pose(k) {
    this.k = k;
    const { doubt, points, share } = this.options;
    this.figures.forEach((figure) => figure.pose(k, doubt, points));
    if (this.cloud) {
      this.cloud.group.visible = points;
      this.cloud.pose(k, share);
    }
    this.draw();
  }

  // How many points of depth are drawn; null where there are none.
  drawnPoints() {
    if (!this.cloud) return null;
    return this.options.points ? this.cloud.drawn : 0;
  }

  // Many changes, one picture.
  request() {
    this.due ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.due);
    this.due = undefined;
    if (!this.panels) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const share = width / this.panels.length;
    this.renderer.setScissorTest(false);
    this.renderer.clear();
    this.renderer.setScissorTest(true);
    this.figures.forEach((figure) => figure.face(this.camera));
    this.panels.forEach((panel, i) => {
      this.figures.forEach((figure) => { figure.group.visible = panel.includes(figure); });
      this.renderer.setViewport(i * share, 0, share, height);
      this.renderer.setScissor(i * share, 0, share, height);
      this.renderer.render(this.world, this.camera);
    });
  }
}

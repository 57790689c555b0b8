// Points of a depth camera round the person: nearer ones darker, a share of them drawn.
import { BufferAttribute, BufferGeometry, Color, Points, PointsMaterial } from 'three';

const NEAR = -0.9; // metres from the pelvis, towards the camera and away: where shades begin and end
const FAR = 0.7;

export class Cloud {
  constructor(data) {
    this.data = data;
    const most = Math.max(...data.counts, 1);
    const geometry = new BufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(new Float32Array(3 * most), 3));
    geometry.setAttribute('color', new BufferAttribute(new Float32Array(3 * most), 3));
    this.points = new Points(geometry, new PointsMaterial({ size: 0.02, vertexColors: true }));
    this.points.frustumCulled = false;
    this.group = this.points;
    this.near = new Color('#345');
    this.far = new Color('#ccd');
  }

  paint(near, far) {
    this.near.set(near);
    this.far.set(far);
    this.place = undefined;
  }

  // Frame k; share: of the points, 0 to 1.
  pose(k, share) {
    const { data, points } = this;
    const place = data.shown[k];
    const { position, color } = points.geometry.attributes;
    if (place !== this.place) {
      this.place = place;
      const shade = new Color();
      const first = data.starts[place];
      for (let i = 0; i < data.counts[place]; i++) {
        const [x, y, z] = [0, 1, 2].map((c) => data.numbers[3 * (first + i) + c] * data.scale);
        position.setXYZ(i, x, -y, -z); // camera axes to y up, as in figure.js
        const far = Math.min(1, Math.max(0, (z - NEAR) / (FAR - NEAR)));
        shade.copy(this.near).lerp(this.far, far);
        color.setXYZ(i, shade.r, shade.g, shade.b);
      }
      position.needsUpdate = true;
      color.needsUpdate = true;
    }
    this.drawn = Math.round(share * data.counts[place]);
    points.geometry.setDrawRange(0, this.drawn);
  }

  dispose() {
    this.points.geometry.dispose();
    this.points.material.dispose();
  }
}

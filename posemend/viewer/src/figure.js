// One stick figure: spheres and cylinders; hidden joints are rings, hidden bones are dashed,
// haloes hold the truth nine times in ten.
import {
  CircleGeometry, Color, CylinderGeometry, Group, Mesh, MeshBasicMaterial, MeshLambertMaterial, RingGeometry,
  SphereGeometry, Vector3,
} from 'three';
import { mergeGeometries } from 'three/examples/jsm/utils/BufferGeometryUtils.js';

const UP = new Vector3(0, 1, 0);
const DASHES = 5;
const SMALL = /eye|ear|mouth|pinky|index|thumb|fingers|toe|heel/; // crowded places get small joints

const solid = new CylinderGeometry(1, 1, 1, 12, 1);
const dashed = mergeGeometries(
  Array.from({ length: DASHES }, (_, i) =>
    new CylinderGeometry(1, 1, 0.55 / DASHES, 10, 1).translate(0, (i + 0.5) / DASHES - 0.5, 0)),
);
const ball = new SphereGeometry(1, 20, 14);
const ring = new RingGeometry(0.72, 1.12, 28);
const disc = new CircleGeometry(0.9, 24);

// Camera axes are x right, y down, z away; world axes are z up. Both turn into y up by a rotation,
// never a reflection, so that left stays left.
export function toDisplay(layer, k, j, out) {
  const x = layer.at(k, j, 0);
  const y = layer.at(k, j, 1);
  const z = layer.at(k, j, 2);
  return layer.axes === 'z-up' ? out.set(x, z, -y) : out.set(x, -y, -z);
}

export class Figure {
  constructor(layer) {
    this.layer = layer;
    this.ghost = layer.role === 'truth';
    this.group = new Group();
    this.points = layer.joints.map(() => new Vector3());
    const thin = this.ghost ? 0.75 : 1;
    this.bones = layer.bones.map(([from, to]) => {
      const side = layer.side[to] === 'middle' ? layer.side[from] : layer.side[to];
      const small = SMALL.test(layer.joints[to]);
      const mesh = new Mesh(solid, this.#material());
      this.group.add(mesh);
      return { from, to, side, mesh, radius: thin * (small ? 0.008 : 0.014) };
    });
    this.joints = layer.joints.map((name, j) => {
      const radius = thin * (SMALL.test(name) ? 0.015 : 0.026);
      const sphere = new Mesh(ball, this.#material());
      const hollow = new Group();
      const rim = new Mesh(ring, new MeshBasicMaterial({ side: 2 }));
      const fill = new Mesh(disc, new MeshBasicMaterial({ side: 2, transparent: true, opacity: 0.75 }));
      rim.position.z = 0.02;
      hollow.add(fill, rim);
      sphere.scale.setScalar(radius);
      hollow.scale.setScalar(radius * 1.1);
      this.group.add(sphere, hollow);
      return { side: layer.side[j], sphere, hollow, rim, fill, halo: this.#halo() };
    });
  }

  #halo() {
    if (!this.layer.region) return null;
    const halo = new Mesh(ball, new MeshBasicMaterial({ transparent: true, opacity: 0.16, depthWrite: false }));
    this.group.add(halo);
    return halo;
  }

  #material() {
    return new MeshLambertMaterial(this.ghost ? { transparent: true, opacity: 0.42, depthWrite: false } : {});
  }

  // colours: {left, right, middle, paper}; by layer, all three sides have one colour
  paint(colours, own) {
    const pick = (side) => new Color(own ?? colours[side]);
    this.bones.forEach(({ mesh, side }) => mesh.material.color.copy(pick(side)));
    this.joints.forEach(({ sphere, rim, fill, side, halo }) => {
      halo?.material.color.copy(pick(side));
      sphere.material.color.copy(pick(side));
      rim.material.color.copy(pick(side));
      fill.material.color.set(colours.paper);
    });
  }

  // Frame k; doubt: whether 90 % regions are drawn; placed: whether the pose stands where it says, among points of
  // depth, or with its pelvis in the middle.
  pose(k, doubt = false, placed = false) {
    const { layer, points } = this;
    const aside = placed && layer.shifts ? [0, 1, 2].map((c) => layer.shifts[3 * k + c]) : [0, 0, 0];
    this.group.position.set(aside[0], -aside[1], -aside[2]);
    this.joints.forEach(({ sphere, hollow, halo }, j) => {
      toDisplay(layer, k, j, points[j]);
      const there = layer.present(k, j);
      const seen = this.ghost || layer.visible(k, j);
      sphere.visible = there && seen;
      hollow.visible = there && !seen;
      sphere.position.copy(points[j]);
      hollow.position.copy(points[j]);
      if (!halo) return;
      halo.visible = doubt && there;
      halo.position.copy(points[j]);
      halo.scale.setScalar(Math.max(layer.region(k, j), 1e-4));
    });
    const along = new Vector3();
    this.bones.forEach(({ from, to, mesh, radius }) => {
      along.subVectors(points[to], points[from]);
      const length = along.length();
      mesh.visible = length > 1e-4 && layer.present(k, from) && layer.present(k, to);
      if (!mesh.visible) return;
      const seen = this.ghost || (layer.visible(k, from) && layer.visible(k, to));
      mesh.geometry = seen ? solid : dashed;
      mesh.position.addVectors(points[from], points[to]).multiplyScalar(0.5);
      mesh.quaternion.setFromUnitVectors(UP, along.divideScalar(length));
      mesh.scale.set(seen ? radius : radius * 0.8, length, seen ? radius : radius * 0.8);
    });
  }

  face(camera) {
    this.joints.forEach(({ hollow }) => hollow.quaternion.copy(camera.quaternion));
  }

  dispose() {
    this.group.traverse((part) => part.material?.dispose());
  }
}

//! Airways, and arteries and veins that grow from the hila until they fill the lungs.

use crate::attenuation::SOFT_DENSITY;
use crate::draw::{Draw, Part};
use crate::opacity::Opacity;
use crate::solids::Solids;
use crate::tube::{Material, Ring, Segment, rings, solid, walled};
use crate::vector::{Vec3, v};

/// Density of blood, g/cm³.
const BLOOD: f32 = 1.06;
/// Calibre of the smallest vessels grown, mm.
const TWIG_MM: f32 = 0.45;

/// Vessels and airways of one person.
pub(crate) fn vessels(seed: u64, solids: &Solids, lung_density: f32, opacity: Option<&Opacity>) -> Vec<Segment> {
    let mut draw = Draw::new(seed, Part::Vessels);
    let mut segments = Vec::new();
    for side in [-1.0_f32, 1.0] {
        let lung = usize::from(side > 0.0);
        let density = draw.around(1.0, 0.12);
        let calibre = draw.around(1.0, 0.08);
        for tree in trunks(side) {
            let count = crate::vector::whole(tree.twigs * density);
            let targets = targets(solids, lung, count, tree.low, &mut draw);
            let grown = Tree::grow(&tree, &targets, &mut draw);
            grown.into_segments(calibre, lung_density, solids, &mut segments);
        }
    }
    for segment in &mut segments {
        if let Some(opacity) = opacity {
            segment.weaken(1.0 - opacity.filling_at(segment.middle()));
        }
    }
    airways(solids, lung_density, &mut draw, &mut segments);
    if let Some(opacity) = opacity {
        bronchogram(opacity, solids, lung_density, &mut draw, &mut segments);
    }
    segments
}

/// Where a tree starts and what it has to feed.
struct Trunk {
    points: Vec<Vec3>,
    twigs: f32,
    /// How much more of it goes to the lower lung.
    low: f32,
}

fn trunks(side: f32) -> [Trunk; 2] {
    let (artery, vein) = if side < 0.0 {
        (
            vec![
                v(-22.0, -20.0, 2.0),
                v(-34.0, -17.0, 8.0),
                v(-41.0, -4.0, 12.0),
                v(-46.0, 12.0, 16.0),
                v(-51.0, 28.0, 20.0),
            ],
            vec![v(-16.0, 12.0, 14.0), v(-32.0, 14.0, 10.0), v(-46.0, 16.0, 4.0)],
        )
    } else {
        (
            vec![
                v(26.0, -28.0, 0.0),
                v(38.0, -33.0, 14.0),
                v(44.0, -20.0, 24.0),
                v(48.0, -2.0, 28.0),
                v(54.0, 18.0, 30.0),
            ],
            vec![v(18.0, 6.0, 16.0), v(36.0, 8.0, 8.0), v(50.0, 8.0, 0.0)],
        )
    };
    [Trunk { points: artery, twigs: 900.0, low: 0.45 }, Trunk { points: vein, twigs: 640.0, low: 0.4 }]
}

/// Random places in one lung that want blood.
fn targets(solids: &Solids, lung: usize, count: usize, low: f32, draw: &mut Draw) -> Vec<Vec3> {
    let sign = if lung == 0 { -1.0 } else { 1.0 };
    let mut found = Vec::with_capacity(count);
    for _ in 0..count * 40 {
        if found.len() == count {
            break;
        }
        let p = v(sign * draw.between(8.0, 150.0), draw.between(-148.0, 128.0), draw.between(-80.0, 80.0));
        let height = (p.y + 148.0) / 276.0;
        if draw.unit() < 1.0 - low + low * 1.6 * height && solids.lung_distance(p, lung) < -3.0 {
            found.push(p);
        }
    }
    found
}

struct Tree {
    nodes: Vec<Node>,
    trunk: usize,
}

struct Node {
    place: Vec3,
    parent: usize,
    /// Way from the root, mm.
    way: f32,
    /// Number of ends behind this node.
    ends: f32,
}

impl Tree {
    /// Joins each target to the place in the tree that keeps both the joint and the way from the heart
    /// short, the nearest targets first.
    fn grow(trunk: &Trunk, targets: &[Vec3], draw: &mut Draw) -> Self {
        let mut nodes: Vec<Node> = Vec::with_capacity(targets.len() + 16);
        for place in crate::vector::curve(&trunk.points, 6.0) {
            let parent = nodes.len().saturating_sub(1);
            let way = nodes.last().map_or(0.0, |n| n.way + (place.0 - n.place).length());
            nodes.push(Node { place: place.0, parent, way, ends: 0.0 });
        }
        let trunk_length = nodes.len();
        let hilum = nodes.get(trunk_length / 2).map_or(v(0.0, 0.0, 0.0), |n| n.place);
        let mut order: Vec<(f32, Vec3)> = targets.iter().map(|&t| ((t - hilum).length(), t)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, target) in order {
            let (mut best, mut parent) = (f32::MAX, 0);
            for (i, node) in nodes.iter().enumerate() {
                let way = 0.45 * node.way;
                let gap = target - node.place;
                // Compared as squares: most nodes are too far away to need the root.
                if way < best && gap.dot(gap) < (best - way) * (best - way) {
                    (best, parent) = (gap.length() + way, i);
                }
            }
            let from = nodes[parent].place;
            let gap = (target - from).length();
            if gap < 1.5 {
                continue;
            }
            // A node on the way, off the straight line, so that branches bend and later ones may leave here.
            let bend = v(draw.normal(), draw.normal(), draw.normal()) * (0.035 * gap);
            let middle = from.toward(target, 0.5) + bend;
            let mut last = parent;
            for place in [middle, target] {
                let way = nodes[last].way + (place - nodes[last].place).length();
                nodes.push(Node { place, parent: last, way, ends: 0.0 });
                last = nodes.len() - 1;
            }
        }
        let mut tree = Self { nodes, trunk: trunk_length };
        tree.count_ends();
        tree
    }

    fn count_ends(&mut self) {
        let mut leaf = vec![true; self.nodes.len()];
        for node in self.nodes.iter().skip(1) {
            leaf[node.parent] = false;
        }
        for i in (1..self.nodes.len()).rev() {
            if leaf[i] {
                self.nodes[i].ends = 1.0;
            }
            let (ends, parent) = (self.nodes[i].ends, self.nodes[i].parent);
            self.nodes[parent].ends += ends;
        }
    }

    fn into_segments(self, calibre: f32, lung_density: f32, solids: &Solids, into: &mut Vec<Segment>) {
        let blood = Material { soft: BLOOD - lung_density, bone: 0.0 };
        // Murray's law with the exponent measured for the lung, a little under 3.
        let radius = |ends: f32| TWIG_MM * calibre * ends.max(1.0).powf(1.0 / 2.2);
        for node in self.nodes.iter().skip(self.trunk) {
            let parent = &self.nodes[node.parent];
            let before = &self.nodes[parent.parent];
            let axis = node.place - parent.place;
            let start = (parent.place - before.place).unit() * (0.35 * axis.length());
            // Leave the parent partly in its own direction.
            let control = parent.place + start * 0.6 + axis * 0.25;
            let r = radius(node.ends);
            let steps = crate::vector::whole(axis.length() / 5.0).clamp(1, 6);
            let chain: Vec<Ring> = (0..=steps)
                .map(|i| {
                    let t = i as f32 / steps as f32;
                    let centre = parent.place.toward(control, t).toward(control.toward(node.place, t), t);
                    Ring { centre, normal: v(0.3, 0.2, -0.9), a: r, b: r }
                })
                .collect();
            let first = into.len();
            solid(&chain, blood, into);
            for segment in into.iter_mut().skip(first) {
                // Inside the heart or below the diaphragm there is no air to stand out against.
                let inside = (-solids.nearest_lung(segment.middle()) / 3.0 + 0.5).clamp(0.0, 1.0);
                segment.weaken(inside);
            }
        }
        let chain: Vec<Ring> = self.nodes[..self.trunk]
            .iter()
            .map(|n| Ring { centre: n.place, normal: v(0.3, 0.2, -0.9), a: radius(n.ends), b: radius(n.ends) })
            .collect();
        let first = into.len();
        solid(&chain, blood, into);
        for segment in into.iter_mut().skip(first) {
            segment.weaken((-solids.nearest_lung(segment.middle()) / 3.0 + 0.5).clamp(0.0, 1.0));
        }
    }
}

/// Windpipe and large bronchi: air where the mediastinum would be solid.
fn airways(solids: &Solids, lung_density: f32, draw: &mut Draw, into: &mut Vec<Segment>) {
    let wide = draw.around(1.0, 0.08);
    let lean = draw.around(-2.0, 1.5);
    let carina = v(lean, -54.0, 10.0);
    let trachea = [v(0.0, -320.0, -20.0), v(0.0, -170.0, -4.0), v(lean, -110.0, 2.0), carina];
    let front = v(0.0, 0.0, -1.0);
    tube(&rings(&trachea, 3.0, |_, _| (9.0 * wide, 9.6 * wide, front)), solids, lung_density, into);
    let right = [
        carina + v(-2.0, 0.0, 0.0),
        v(-13.0, -40.0, 12.0),
        v(-24.0, -26.0, 14.0),
        v(-33.0, -8.0, 17.0),
        v(-41.0, 14.0, 22.0),
    ];
    tube(
        &rings(&right, 3.0, |t, _| ((6.8 - 0.8 * t) * wide, (6.8 - 0.8 * t) * wide, front)),
        solids,
        lung_density,
        into,
    );
    let left = [
        carina + v(2.0, 0.0, 0.0),
        v(12.0, -42.0, 13.0),
        v(26.0, -30.0, 18.0),
        v(38.0, -20.0, 22.0),
        v(45.0, 2.0, 28.0),
    ];
    tube(
        &rings(&left, 3.0, |t, _| ((6.2 - 0.8 * t) * wide, (6.2 - 0.8 * t) * wide, front)),
        solids,
        lung_density,
        into,
    );
    for (from, to, r) in
        [(v(-24.0, -26.0, 14.0), v(-40.0, -38.0, 14.0), 4.2), (v(38.0, -20.0, 22.0), v(50.0, -32.0, 16.0), 4.0)]
    {
        tube(
            &rings(&[from, from.toward(to, 0.5), to], 3.0, |t, _| (r - 0.5 * t, r - 0.5 * t, front)),
            solids,
            lung_density,
            into,
        );
    }
}

/// Air with a wall; what it displaces depends on where it runs.
fn tube(chain: &[Ring], solids: &Solids, lung_density: f32, into: &mut Vec<Segment>) {
    for pair in chain.windows(2) {
        let middle = pair[0].centre.toward(pair[1].centre, 0.5);
        let in_lung = (-solids.nearest_lung(middle) / 4.0 + 0.5).clamp(0.0, 1.0);
        let around = SOFT_DENSITY + (lung_density - SOFT_DENSITY) * in_lung;
        let air = Material { soft: -around, bone: 0.0 };
        let wall = Material { soft: SOFT_DENSITY - around, bone: 0.0 };
        walled(pair, 1.0, wall, air, into);
    }
}

/// Bronchi that stay open in a consolidation.
fn bronchogram(opacity: &Opacity, solids: &Solids, lung_density: f32, draw: &mut Draw, into: &mut Vec<Segment>) {
    let hilum = v(if opacity.centre.x < 0.0 { -38.0 } else { 42.0 }, -8.0, 18.0);
    for _ in 0..opacity.bronchi {
        let end = opacity.centre + v(draw.normal(), draw.normal(), draw.normal()) * (0.35 * opacity.radius);
        let middle = hilum.toward(end, 0.55) + v(draw.normal(), draw.normal(), draw.normal()) * 4.0;
        let chain = rings(&[hilum, middle, end], 3.0, |t, _| (2.4 - 0.7 * t, 2.4 - 0.7 * t, v(0.2, 0.1, -1.0)));
        for pair in chain.windows(2) {
            let place = pair[0].centre.toward(pair[1].centre, 0.5);
            let filling = opacity.filling_at(place);
            if solids.nearest_lung(place) < -2.0 && filling > 0.15 {
                let air = Material { soft: -(lung_density + (1.0 - lung_density) * filling), bone: 0.0 };
                solid(pair, air, into);
            }
        }
    }
}

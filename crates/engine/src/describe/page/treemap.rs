//! A treemap: rectangles whose areas are sizes, as square as can be (Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000).
//!
//! **Guarantees**: areas are in proportion, all of the room is used, and the same sizes give the same rectangles.

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// The rectangles of `sizes`, largest first, in `room`. A size of nothing has none of the room.
#[expect(clippy::cast_precision_loss, reason = "a pixel is less exact")]
pub(super) fn squarified(sizes: &[u64], room: Rect) -> Vec<Rect> {
    let total: f64 = sizes.iter().map(|size| *size as f64).sum();
    if total <= 0.0 || room.w <= 0.0 || room.h <= 0.0 {
        return sizes.iter().map(|_| Rect { w: 0.0, h: 0.0, ..room }).collect();
    }
    let scale = room.w * room.h / total;
    let areas: Vec<f64> = sizes.iter().map(|size| *size as f64 * scale).collect();
    let mut found = Vec::with_capacity(areas.len());
    let (mut room, mut at) = (room, 0);
    while at < areas.len() {
        let side = room.w.min(room.h);
        let mut end = at + 1;
        // A row grows as long as its worst rectangle gets no worse.
        while end < areas.len() && worst(&areas[at..=end], side) <= worst(&areas[at..end], side) {
            end += 1;
        }
        room = row(&areas[at..end], room, &mut found);
        at = end;
    }
    found
}

/// How far from a square the worst rectangle of a row is.
fn worst(areas: &[f64], side: f64) -> f64 {
    let sum: f64 = areas.iter().sum();
    if sum <= 0.0 || side <= 0.0 {
        return 0.0;
    }
    let depth = sum / side;
    areas.iter().map(|area| area / depth).fold(0.0, |most: f64, length| {
        let ratio = if length <= 0.0 { 0.0 } else { (length / depth).max(depth / length) };
        most.max(ratio)
    })
}

/// Lays a row along the shorter side, and gives the room that is left.
fn row(areas: &[f64], room: Rect, found: &mut Vec<Rect>) -> Rect {
    let sum: f64 = areas.iter().sum();
    let wide = room.w >= room.h;
    let side = if wide { room.h } else { room.w };
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for area in areas {
        let length = if depth > 0.0 { area / depth } else { 0.0 };
        found.push(if wide {
            Rect { x: room.x, y: room.y + at, w: depth, h: length }
        } else {
            Rect { x: room.x + at, y: room.y, w: length, h: depth }
        });
        at += length;
    }
    if wide {
        Rect { x: room.x + depth, w: (room.w - depth).max(0.0), ..room }
    } else {
        Rect { y: room.y + depth, h: (room.h - depth).max(0.0), ..room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Rect = Rect { x: 0.0, y: 0.0, w: 6.0, h: 4.0 };

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-6
    }

    /// The example of the paper, figure 4: areas 6 6 4 3 2 2 1 in 6 by 4.
    #[test]
    fn the_example_of_the_paper() {
        let found = squarified(&[6, 6, 4, 3, 2, 2, 1], ROOM);
        let expected = [
            (0.0, 0.0, 3.0, 2.0),
            (0.0, 2.0, 3.0, 2.0),
            (3.0, 0.0, 12.0 / 7.0, 7.0 / 3.0),
            (3.0 + 12.0 / 7.0, 0.0, 9.0 / 7.0, 7.0 / 3.0),
        ];
        for (rect, (x, y, w, h)) in found.iter().zip(expected) {
            assert!(near(rect.x, x) && near(rect.y, y) && near(rect.w, w) && near(rect.h, h), "{rect:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn areas_are_in_proportion_and_inside(mut sizes in proptest::collection::vec(0_u64..1 << 40, 1..80)) {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let total: u64 = sizes.iter().sum();
            let found = squarified(&sizes, ROOM);
            assert_eq!(found.len(), sizes.len());
            for (rect, size) in found.iter().zip(&sizes) {
                #[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
                let area = if total == 0 { 0.0 } else { *size as f64 / total as f64 * 24.0 };
                assert!((rect.w * rect.h - area).abs() < 1e-6, "{rect:?} {area}");
                assert!(rect.x >= -1e-9 && rect.y >= -1e-9, "{rect:?}");
                assert!(rect.x + rect.w <= 6.0 + 1e-6 && rect.y + rect.h <= 4.0 + 1e-6, "{rect:?}");
            }
        }
    }
}

// Where the names of runners go: beside each runner, whole, and over no other name nor runner as long as there is room.

/** Sides of a runner, the best first; negative is left of it or above it, more than one a line further. */
const SIDES = [
  [0, -1], [0, 1], [1, 0], [-1, 0], [1, -1], [-1, -1], [1, 1], [-1, 1],
  [0, -2], [0, 2], [1, -2], [-1, -2], [1, 2], [-1, 2], [0, -3], [0, 3], [0, -4], [0, 4],
];
/** Between a runner and its name. */
const GAP = 3;
/** A better side must be free by so much before a name goes back to it: so it does not jump to and fro. */
const ROOM = 6;
/** A name over another cannot be read; over a runner it can. */
const OVER_NAME = 10;

/**
 * A box `{x, y, width, height}` (its middle and its size) for the name of each of `runners`, which are `{id, x, y, radius,
 * width, height}` (their place, and the name's size); all in the picture's pixels, `size` on each side. Who comes first
 * chooses first. `sides` remembers from picture to picture which side each name is on.
 */
export function labels(runners, size, sides) {
  const placed = [];
  for (const runner of runners) {
    const before = sides.get(runner.id);
    const choices = SIDES.map((side, rank) => {
      const box = beside(runner, side, size);
      const grown = rank === before || before === undefined ? box : grow(box, ROOM);
      const names = placed.reduce((sum, other) => sum + shared(grown, other), 0);
      const bodies = runners.reduce((sum, other) => sum + shared(other === runner ? box : grown, body(other)), 0);
      return { rank, box, cost: OVER_NAME * names + bodies };
    });
    // Of those that cover the least the first, as the best sides come first.
    const { rank, box } = choices.reduce((best, next) => (next.cost < best.cost ? next : best));
    sides.set(runner.id, rank);
    placed.push(box);
  }
  return placed;
}

function beside({ x, y, radius, width, height }, [right, down], size) {
  const inside = (at, half) => Math.min(size - half, Math.max(half, at));
  return {
    x: inside(x + right * (radius + GAP + width / 2), width / 2),
    y: inside(y + Math.sign(down) * (radius + GAP - height / 2) + down * height, height / 2),
    width,
    height,
  };
}

const body = ({ x, y, radius }) => ({ x, y, width: 2 * radius, height: 2 * radius });
const grow = ({ x, y, width, height }, by) => ({ x, y, width: width + 2 * by, height: height + 2 * by });

/** The area that two boxes share. */
function shared(a, b) {
  const overlap = (middles, sizes) => Math.max(0, sizes / 2 - Math.abs(middles));
  const limited = (middles, one, other) => Math.min(overlap(middles, one + other), one, other);
  return limited(a.x - b.x, a.width, b.width) * limited(a.y - b.y, a.height, b.height);
}

// Finds places for the names of runners: beside each runner, inside the field, and not over other names or runners if there is room.

/** Sides of a runner, the best first; negative is left of it or above it, a larger number is a line further away. */
const SIDES = [
  [0, -1], [0, 1], [1, 0], [-1, 0], [1, -1], [-1, -1], [1, 1], [-1, 1],
  [0, -2], [0, 2], [1, -2], [-1, -2], [1, 2], [-1, 2], [0, -3], [0, 3], [0, -4], [0, 4],
];
/** The gap between a runner and its name. */
const GAP = 3;
/** A better side must be free by this much before a name returns to it, so that names do not jump back and forth. */
const ROOM = 6;
/** Costs of a name over another one: it cannot be read; over a runner it can. */
const OVER_NAME = 10;

/**
 * Returns a box `{x, y, width, height}` (its middle and its size) for the name of each of `runners`, which are `{id, x, y,
 * radius, width, height}` (the runner's middle, and the size of its name); all in pixels of the square picture with sides of
 * `size`. Earlier runners choose first. `sides` remembers between pictures which side each name is on.
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
    // The first of the cheapest: the best sides come first.
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

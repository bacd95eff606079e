/**
 * What one post to a connection costs: our wire, the SDK's client, and the wire's own HTTP client with nothing signed.
 *
 *     npm run bench -- post [posts] [repetitions]
 *
 * Each way of posting runs in a process of its own, one after the other, against a server that does nothing but answer
 * 200, in another process; all of them in turn, `repetitions` times. Ratios are taken within a repetition, since other work
 * on the machine comes and goes, and the median counts, of them and of the figures. Those by CPU compare what one core
 * could do if it had nothing else to do. Without TLS, which costs every one of them the same. Bounds: `wireVsSdk` ≥ 6,
 * `wireVsUnsigned` ≥ 0.6.
 */
import { child } from './child.ts';
import { type Bench, type BenchResult, median, type Row } from './result.ts';

/** What a sender says when it is through. */
export interface Sent {
  readonly perSecond: number;
  /** Of its whole process, all threads. */
  readonly cpuMicroseconds: number;
}

const WAYS = {
  sdk: 'SDK client, Promise.all',
  wire: 'our wire',
  unsigned: 'our pool, unsigned',
  smithy: "our pool, the SDK's signer",
  tuned: 'SDK client, tuned',
} as const;
export type Way = keyof typeof WAYS;
const NAMES = Object.keys(WAYS) as Way[];

export const bench: Bench = async ([posts = '20000', repetitions = '3']) => {
  const sink = await child<number>('post-sink.ts', []);
  const all = new Map<Way, Sent[]>(NAMES.map((way) => [way, []]));
  try {
    for (let n = 0; n < Number(repetitions); n += 1) {
      for (const way of NAMES) {
        const sender = await child<Sent>('post-sender.ts', [way, String(sink.said), posts]);
        await sender.end();
        all.get(way)?.push(sender.said);
      }
    }
  } finally {
    await sink.end();
  }
  return summary(all);
};

function summary(all: ReadonlyMap<Way, readonly Sent[]>): BenchResult {
  const of = (way: Way): Sent => {
    const sent = all.get(way) ?? [];
    return {
      perSecond: median(sent.map(({ perSecond }) => perSecond)),
      cpuMicroseconds: median(sent.map(({ cpuMicroseconds }) => cpuMicroseconds)),
    };
  };
  const rows = NAMES.map((way): Row => {
    const { perSecond, cpuMicroseconds } = of(way);
    return { way: WAYS[way], 'deliveries/s': Math.round(perSecond), 'CPU (µs each)': cpuMicroseconds };
  });
  const ratio = (way: Way, compare: (ours: Sent, theirs: Sent) => number) => {
    const theirs = all.get(way) ?? [];
    return median(
      (all.get('wire') ?? []).flatMap((ours, n) => {
        const other = theirs[n];
        return other === undefined ? [] : [compare(ours, other)];
      }),
    );
  };
  const faster = (way: Way) => ratio(way, (ours, theirs) => ours.perSecond / theirs.perSecond);
  const cheaper = (way: Way) => ratio(way, (ours, theirs) => theirs.cpuMicroseconds / ours.cpuMicroseconds);
  return {
    rows,
    ratios: {
      wireVsSdk: faster('sdk'),
      wireVsTunedSdk: faster('tuned'),
      wireVsUnsigned: faster('unsigned'),
      wireVsSdkByCpu: cheaper('sdk'),
      wireVsTunedSdkByCpu: cheaper('tuned'),
      wireVsUnsignedByCpu: cheaper('unsigned'),
    },
  };
}

/** A headless Chromium out of node_modules, or the one that `CHROME_PATH` names. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import packaged, { inflate } from '@sparticuz/chromium';
import { type Browser, chromium } from 'playwright-core';

export interface TestBrowser {
  readonly browser: Browser;
  /** Ends the browser and removes what was unpacked for it. */
  close(): Promise<void>;
}

/** Flags of the package that are made for Lambda and make a worse browser than people have. */
const UNWANTED_FLAGS = [
  // Pages could read each other, and this test would not see that ours may not.
  '--disable-web-security',
  '--allow-running-insecure-content',
  // A page that crashes takes the browser with it.
  '--single-process',
];

/** @throws {Error} where no browser can be started, with what it printed */
export async function startBrowser(): Promise<TestBrowser> {
  const { CHROME_PATH } = process.env;
  if (CHROME_PATH) {
    const browser = await chromium.launch({ executablePath: CHROME_PATH, args: ['--no-sandbox'] });
    return { browser, close: () => browser.close() };
  }
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-chromium-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const browser = await launchIn(directory);
    return {
      browser,
      close: async () => {
        await browser.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * The package unpacks into the temporary directory and takes a file that is there for complete, so every run has a
 * directory of its own. The libraries and fonts that come with it (it is meant for Amazon Linux) are what a
 * fresh Debian lacks: NSS, NSPR, expat, and any font at all.
 */
async function launchIn(directory: string): Promise<Browser> {
  packaged.setGraphicsMode = false;
  const executablePath = await withTemporaryDirectory(directory, async () => {
    const [path] = await Promise.all([packaged.executablePath(), inflate(archive('al2023.tar.br'))]);
    return path;
  });
  const libraries = [join(directory, 'al2023', 'lib'), process.env.LD_LIBRARY_PATH];
  return chromium.launch({
    executablePath,
    args: packaged.args.filter((flag) => !UNWANTED_FLAGS.includes(flag)),
    env: {
      ...(process.env as Record<string, string>),
      TMPDIR: directory,
      HOME: directory,
      LD_LIBRARY_PATH: libraries.filter(Boolean).join(':'),
      FONTCONFIG_FILE: await fontConfiguration(directory),
    },
  });
}

/** The package's own configuration looks for its fonts in `/tmp/fonts`; without any font Chromium ends itself. */
async function fontConfiguration(directory: string): Promise<string> {
  const file = join(directory, 'fonts.conf');
  const dirs = [join(directory, 'fonts'), '/usr/share/fonts'].map((path) => `<dir>${path}</dir>`);
  const cache = `<cachedir>${join(directory, 'fonts-cache')}</cachedir>`;
  await writeFile(file, `<?xml version="1.0"?><fontconfig>${dirs.join('')}${cache}</fontconfig>`);
  return file;
}

/** The package asks `os.tmpdir()`, which asks the environment. */
async function withTemporaryDirectory<T>(directory: string, task: () => Promise<T>): Promise<T> {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = directory;
  try {
    return await task();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}

function archive(name: string): string {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const path = join(dirname(entry), '..', 'bin', name);
  if (!existsSync(path)) throw new Error(`@sparticuz/chromium has no ${name} any more`);
  return path;
}

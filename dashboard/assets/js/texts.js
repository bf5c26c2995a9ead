// All words of the page are in texts.txt, which stands before this as one text, words: a key, English, Chinese. Where the English
// is the key itself with a capital, it is left out, and where it is the key as it is, it is empty. {0} is what is put in.

const texts = Object.fromEntries(words.trim().split("\n").map((line) => {
  const [key, en, zh] = line.split("|");
  return [key, zh ? [en || key, zh] : [key[0].toUpperCase() + key.slice(1), en]];
}));

let chinese = false;

const t = (key, ...put) => texts[key][chinese ? 1 : 0].replace(/\{(\d)\}/g, (_, i) => put[i]);

// Numbers have a unit beside them, and three digits at most that mean something.

const digits = (x) => (x >= 100 || Number.isInteger(x) ? Math.round(x) : Number(x.toPrecision(2))).toLocaleString("en");
const none = "–";
const number = (x) => (x ? digits(x) : none);
const rate = (x) => (x ? digits(x) + " " + t("perS") : none);
const percent = (x) => (x ? digits(x * 100) + " %" : none);

function micros(x) {
  if (!x) return none;
  if (x < 1000) return digits(x) + " µs";
  if (x < 1e6) return digits(x / 1000) + " ms";
  return digits(x / 1e6) + " s";
}

function bytes(x) {
  if (!x) return none;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; x >= 1024 && i < 4; i++) x /= 1024;
  return digits(Number(x.toPrecision(2))) + " " + units[i];
}

// age is how long ago an instant is, in the unit that changes seldom.
function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const unit = (n, en, zh) => n + (chinese ? zh : " " + en);
  if (s < 60) return unit(s, "s", "秒");
  if (s < 3600) return unit(Math.floor(s / 60), "min", "分钟");
  if (s < 172800) return unit(Math.floor(s / 3600), "h", "小时");
  return unit(Math.floor(s / 86400), "d", "天");
}

const clockTime = (ms) => new Date(ms).toLocaleTimeString("en-GB");

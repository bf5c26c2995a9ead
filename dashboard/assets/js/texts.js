// All words of the page, in English and Chinese. {0} stands for what is put in.

const texts = {
  overview: ["Overview", "概览"],
  nodes: ["Nodes", "节点"],
  who: ["Who sees whom", "互视"],
  topology: ["Topology", "拓扑"],
  functions: ["Functions", "函数"],
  call: ["Call", "调用"],
  events: ["Events", "事件"],
  settings: ["Settings", "设置"],

  m0: ["not known", "未知"],
  m1: ["alive", "存活"],
  m2: ["draining", "正在退出"],
  m3: ["unsteady", "不稳定"],
  m4: ["left", "已离开"],
  m5: ["suspect", "可疑"],
  m6: ["unreachable", "不可达"],
  m7: ["offline", "离线"],

  live: ["live", "实时"],
  lost: ["no connection: what you see is old", "连接已断开：所见为旧数据"],
  loading: ["Asking the cluster …", "正在查询集群……"],
  language: ["中文", "English"],
  theme: ["Appearance", "外观"],
  auto: ["as the system", "跟随系统"],
  light: ["light", "浅色"],
  dark: ["dark", "深色"],
  skip: ["Skip to the content", "跳到正文"],
  seenFrom: ["seen from", "视角"],
  close: ["Close", "关闭"],
  tokenTitle: ["Who is there?", "请验证身份"],
  tokenText: ["The page wants the token that it was started with.", "请输入此页面启动时设置的令牌。"],
  token: ["Token", "令牌"],
  enter: ["Enter", "进入"],
  tokenWrong: ["That is not the token.", "令牌不正确。"],

  allWell: ["All {0} nodes are well.", "全部 {0} 个节点正常。"],
  oneWell: ["One node, and it is well.", "只有一个节点，运行正常。"],
  someIll: ["{0} of {1} nodes need a look.", "{1} 个节点中有 {0} 个需要关注。"],
  cutOff: ["This node is cut off.", "本节点已被隔离。"],
  cutOffText: ["Most others are silent to {0} at once: probably its own network fails. Doubt what it says of them.",
    "{0} 同时听不到大多数节点，很可能是自身网络故障；其判断不可信。"],
  notJoined: ["This node has not joined its cluster yet.", "本节点尚未加入集群。"],
  calls: ["Calls", "调用"],
  errors: ["Errors", "错误"],
  median: ["Median", "中位数"],
  p99: ["99 % within", "99% 在此之内"],
  retries: ["Retries", "重试"],
  worstLoss: ["Worst loss", "最高丢包"],
  perS: ["/s", "/秒"],
  troubles: ["What needs a look", "需要关注"],
  noTroubles: ["Nothing. Calm seas.", "没有。一切平静。"],
  since: ["for {0}", "已 {0}"],
  by: ["suspected first by {0}", "最先由 {0} 怀疑"],
  tIsolated: ["says that it is cut off", "称自己已被隔离"],
  tWhy: ["does not answer questions: {0}", "不回答查询：{0}"],
  tLoss: ["{0} of its datagrams get lost", "其数据报丢失 {0}"],
  tOpen: ["not called there for now, it failed again and again: {0}", "因反复失败暂不调用：{0}"],
  tSkew: ["is offered with {0} signatures", "以 {0} 种签名提供"],
  tNone: ["nobody serves it now", "当前无人提供"],
  tFails: ["{0} of its calls fail", "{0} 的调用失败"],
  applications: ["Applications", "应用"],
  noName: ["(no name)", "（无名）"],
  asked: ["{0} of {1} nodes have answered", "{1} 个节点中 {0} 个已应答"],
  last4: ["last {0} min", "最近 {0} 分钟"],

  state: ["State", "状态"],
  address: ["Address", "地址"],
  name: ["Name", "名称"],
  version: ["Version", "版本"],
  tags: ["Tags", "标签"],
  up: ["Up", "运行时长"],
  rtt: ["Round trip", "往返"],
  loss: ["Loss", "丢包"],
  served: ["Served", "处理"],
  busy: ["Running", "运行中"],
  queued: ["Waiting", "排队"],
  cpu: ["CPU", "CPU"],
  heap: ["Heap", "堆"],
  goroutines: ["Goroutines", "协程"],
  self: ["this node", "本节点"],
  filter: ["Filter", "筛选"],
  filterNodes: ["name, address, tag, state …", "名称、地址、标签、状态……"],
  filterFns: ["name …", "名称……"],
  nothing: ["Nothing here fits.", "没有符合的内容。"],
  believes: ["What it believes of others", "它对其他节点的判断"],
  itServes: ["What it has served", "它处理过的函数"],
  counts: ["Counts since its start", "启动以来的计数"],
  forget: ["Forget", "遗忘"],
  leave: ["Leave the cluster", "离开集群"],
  sure: ["Sure? Once more.", "确定？再点一次。"],

  asState: ["State", "状态"],
  asRtt: ["Round trip", "往返"],
  asLoss: ["Loss", "丢包"],
  colourBy: ["Shows", "显示"],
  groupBy: ["One row for each", "每行代表"],
  gNode: ["node", "节点"],
  gApp: ["application", "应用"],
  gNet: ["network", "网段"],
  matrixHelp: ["Each row is what a node believes of the others. Arrow keys move.", "每行是一个节点对其他节点的判断。可用方向键移动。"],
  matrixGroup: ["Each cell is the worst that a node of the row believes of one of the column.", "每格为该行节点对该列节点的最差判断。"],
  agree: ["All agree.", "所有节点判断一致。"],
  disagree: ["They do not agree", "判断不一致"],
  saysOf: ["{0}: {1} say {2}, {3} say it is well", "{0}：{1} 认为{2}，{3} 个节点认为正常"],
  cellText: ["{0} believes of {1}: {2}", "{0} 对 {1} 的判断：{2}"],
  notAsked: ["has not said yet", "尚未应答"],
  itself: ["itself", "自身"],
  lost1: ["{0} lost", "丢包 {0}"],

  onePlace: ["One circle for each", "每个圆代表"],
  topoHelp: ["Arrows are calls: the thicker, the more. Instances get their share by what they served.", "箭头表示调用：越粗越多。按各实例的处理量分摊。"],
  noCalls: ["Nobody calls anybody now.", "当前没有调用。"],
  from: ["From", "来自"],
  to: ["To", "发往"],
  what: ["Functions", "函数"],

  fn: ["Function", "函数"],
  providers: ["Providers", "提供者"],
  codes: ["Errors by code", "按代码的错误"],
  shares: ["Share of the calls", "调用占比"],
  signatures: ["Signatures", "签名"],
  well: ["well", "正常"],
  fails: ["fails", "有失败"],
  openHere: ["breaker open", "熔断"],
  pause: ["Pause here", "在此暂停"],
  resume: ["Resume here", "在此恢复"],
  tryIt: ["Call it", "调用它"],
  done: ["Done.", "完成。"],

  callsOff: ["This page only shows: it was started without AllowCalls.", "此页面只读：启动时未设置 AllowCalls。"],
  asForm: ["Form", "表单"],
  asJson: ["JSON", "JSON"],
  args: ["Arguments, a JSON array", "参数（JSON 数组）"],
  arg: ["Argument {0}", "参数 {0}"],
  more: ["more, a JSON array", "更多（JSON 数组）"],
  options: ["Options", "选项"],
  onNode: ["Node", "节点"],
  anyNode: ["any", "任意"],
  mode: ["Answer", "应答"],
  mOne: ["of one", "一个"],
  mAll: ["of all providers", "所有提供者"],
  mSend: ["none, only send", "不等待，仅发送"],
  timeout: ["Timeout, s", "超时（秒）"],
  meta: ["Metadata, a line each: key=value", "元数据，每行一个：key=value"],
  callNow: ["Call", "调用"],
  calling: ["Calling …", "调用中……"],
  result: ["Result", "结果"],
  took: ["took {0}", "耗时 {0}"],
  ran: ["the function ran: {0}", "函数是否运行：{0}"],
  cut: ["only the beginning is shown", "仅显示开头"],
  sent: ["accepted", "已接受"],
  history: ["Made before, in this tab", "本标签页的历史"],
  copyAs: ["Copy as", "复制为"],
  copied: ["copied", "已复制"],
  badJson: ["is no JSON", "不是 JSON"],
  badNumber: ["is no number", "不是数字"],
  noSuch: ["Choose a function that is offered.", "请选择一个已提供的函数。"],
  secret: ["bytes in base64", "base64 字节"],

  when: ["When", "时间"],
  happened: ["What", "事件"],
  newOnes: ["{0} new, show", "{0} 条新事件，显示"],
  noEvents: ["Nothing has happened yet.", "尚无事件。"],
  topicTail: ["Events of a topic", "主题事件"],
  topicText: ["This node subscribes while you listen, and takes events from nobody.", "监听期间本节点会订阅该主题，不影响其他订阅者。"],
  topic: ["Topic", "主题"],
  listen: ["Listen", "监听"],
  stop: ["Stop", "停止"],

  key: ["Setting", "设置"],
  value: ["Value", "值"],
  isDefault: ["default", "默认"],
  isSet: ["set", "已设置"],
  ofNode: ["Node", "节点"],
  noAnswer: ["It did not answer", "没有应答"],
};

const eventWords = {
  "member up": "节点上线", "member suspect": "节点可疑", "member offline": "节点离线", "member left": "节点离开",
  "service added": "新增函数", "service removed": "移除函数", "member unreachable": "节点不可达",
  "service paused": "函数暂停", "service resumed": "函数恢复", "circuit opened": "熔断打开", "circuit closed": "熔断恢复",
};

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

package broach

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"broach/internal/jsonfile"
)

// maxConfigFile is about a thousand times what a configuration needs; a larger file is a wrong path.
const maxConfigFile = 1 << 20

// LoadConfig reads a Config from a JSON file with the keys of the Python original. A key that is left out keeps its
// default. Times are seconds, fractions allowed, or texts such as "1.5s". The error names every mistake, each with its
// key; errors.Is compares that of a file that cannot be opened with fs.ErrNotExist and the like. An unknown key that
// resembles a known one is such a mistake, as is one that holds what looks like keys of the cluster where there are
// none in their place; another one is passed over, which Start logs as a warning. The application's own section is
// "app": see Config.App.
//
// Variables of the environment stand in place of what the file says, if they are not empty: BROACH_NAME,
// BROACH_CLUSTER, BROACH_LOG_LEVEL, BROACH_ADDR, BROACH_ADVERTISE, BROACH_SEEDS, a list with commas or spaces between,
// and BROACH_KEYS_FILE, a file of one key a line in base64, which must not be empty. An unknown BROACH_ variable is a
// warning; one that is wrong, or seems to bring keys to a node without any, is an error that names it.
//
// An empty path stands for no file: the environment alone says how the node runs. It then listens at all addresses if
// BROACH_SEEDS is set and BROACH_ADDR is not, for seeds may be anywhere.
func LoadConfig(path string) (Config, error) {
	if path == "" {
		return parseConfig(noFile, []byte("{}"), os.Environ()...)
	}
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("broach: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("broach: %w", err)
	}
	return parseConfig(path, data, os.Environ()...)
}

// parseConfig is LoadConfig for a file that has been read; name is the file's, for messages.
func parseConfig(name string, data []byte, variables ...string) (Config, error) {
	if len(data) > maxConfigFile {
		return Config{}, fmt.Errorf("broach: %s: larger than %d bytes", name, maxConfigFile)
	}
	file, err := fileSchema.Read(data)
	if err != nil {
		return Config{}, fmt.Errorf("broach: %s: %w", name, err)
	}
	f := configFile{File: file, name: name}
	f.read(variables)
	if err := f.err(); err != nil {
		return Config{}, err
	}
	return f.cfg, nil
}

// appSection is what a file says to the application itself.
type appSection struct {
	file string          // for messages
	raw  json.RawMessage // an object; nil if there is none
}

// App decodes the application's own section of the file that LoadConfig has read, the object under "app", into what a
// pointer leads to, by the rules of encoding/json. No section, or no file, counts as an empty one. The error names keys
// that the type has no field for, each with the nearest it has, and values of a wrong type, not shown: they may be
// secrets.
func (c Config) App(into any) error {
	raw := c.app.raw
	if raw == nil {
		raw = json.RawMessage("{}")
	}
	prefix := "broach: "
	if c.app.file != "" {
		prefix += c.app.file + ": "
	}
	mistakes, err := jsonfile.DecodeStrictly("app", raw, into)
	if err != nil {
		return fmt.Errorf("%sapp: %w", prefix, err)
	}
	var errs []error
	for _, m := range mistakes {
		errs = append(errs, fmt.Errorf("%s%s: %s: %s", prefix, m.Path, m.Value, m.Want))
	}
	return errors.Join(errs...)
}

// fileSchema is what the file may say. Secrets stay out of its messages, and with them whatever stands for an object
// that may hold them.
var fileSchema = jsonfile.Schema{
	Keys:     knownKeys(),
	IsSecret: isKeyText,
	Hides:    func(path string) bool { return path == "params" || path == "params.keys" || path == "app" },
	Guess:    meantKey,
}

func knownKeys() (list []jsonfile.Key) {
	for _, k := range fileKeys {
		list = append(list, jsonfile.Key{Path: k.path, IsObject: k.set == nil})
	}
	return list
}

// configFile is one file on its way to a Config.
type configFile struct {
	*jsonfile.File
	name    string
	cfg     Config
	ip      netip.Addr // rpcIp; invalid until given
	port    uint16     // rpcPort
	envErrs []error    // of variables of the environment
}

func (f *configFile) read(variables []string) {
	for _, s := range f.Strays { // a node that passes over what is nothing like a known key says so
		f.warn(s.Path, "unknown key, ignored")
	}
	f.strayKeys()
	for _, key := range fileKeys {
		if raw, ok := f.Raw[key.path]; ok && !key.set(f, raw) {
			f.Reject(key.path, raw, key.want)
		}
	}
	f.setAddr()
	f.override(variables)
	for _, m := range f.cfg.mistakes() {
		if err, ok := f.inEnv(m); ok {
			f.envErrs = append(f.envErrs, err)
		} else {
			f.Mistakes = append(f.Mistakes, f.inFile(m))
		}
	}
}

// setAddr joins what the file keeps under two keys, of which either may be left out.
func (f *configFile) setAddr() {
	_, hasPort := f.Raw["params.rpcPort"]
	if !f.ip.IsValid() && !hasPort {
		return
	}
	ip := f.ip
	if !ip.IsValid() {
		ip = netip.MustParseAddrPort(defaultAddr).Addr()
	}
	f.cfg.Addr = netip.AddrPortFrom(ip, f.port).String()
}

func (f *configFile) warn(path, text string) {
	f.cfg.warnings = append(f.cfg.warnings, fmt.Sprintf("%s: %s: %s", f.name, path, text))
}

// inFile puts a mistake of the Config in the words of the file: its key, and the value as it stands there.
func (f *configFile) inFile(m mistake) jsonfile.Mistake {
	for _, key := range fileKeys {
		rest, ok := cutField(m.field, key.field)
		if !ok {
			continue
		}
		if raw := f.Raw[key.path]; rest == "" && !bytes.HasPrefix(raw, []byte("{")) {
			m.value = f.Shown(key.path, raw)
		}
		m.field = key.path + rest
		break
	}
	return jsonfile.Mistake{Path: m.field, Value: m.value, Want: m.want}
}

// cutField cuts a field from the front of one that it is or contains: "Join" leaves "[1]" of "Join[1]".
func cutField(inner, field string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(inner, field)
	return rest, ok && field != "" && (rest == "" || rest[0] == '[' || rest[0] == '.')
}

func (f *configFile) err() error {
	var errs []error
	for _, m := range f.Mistakes {
		errs = append(errs, fmt.Errorf("broach: %s: %s: %s: %s", f.name, m.Path, m.Value, m.Want))
	}
	return errors.Join(append(errs, f.envErrs...)...)
}

// fileKey is one key a configuration file may have.
type fileKey struct {
	path  string    // dotted
	field string    // of Config, as its mistakes name it; empty if no field has this value alone
	want  string    // what set takes, for the error
	set   keySetter // nil: an object whose keys stand in the table, too
}

// keySetter puts a value into the file's Config and reports whether it could. Ranges are left to Config's own check.
type keySetter func(f *configFile, raw json.RawMessage) bool

// fileKeys are all keys, as the original spells them where it has them.
var fileKeys = []fileKey{
	textKey("name", "Name", func(c *Config) *string { return &c.Name }),
	textKey("version", "Version", func(c *Config) *string { return &c.Version }),
	{"logLevel", "LogLevel", "must be a string: debug, info, warn, error or off", setLogLevel},
	{"app", "", "must be an object: the section of the application itself", setApp},
	{path: "params"},
	{"params.rpcPort", "", "must be a whole number from 0 to 65535", setPort},
	{"params.rpcIp", "Addr",
		`must be an IP address such as "192.0.2.7" or "2001:db8::7", without a zone, not multicast`, setIP},
	{"params.clusterAddress", "Join", "must be a list of strings", setJoin},
	secondsKey("params.rpcTimeOut", "CallTimeout", func(c *Config) *time.Duration { return &c.CallTimeout }),
	secondsKey("params.udpTimeOut", "AckTimeout", func(c *Config) *time.Duration { return &c.AckTimeout }),
	{path: "params.threadPool"},
	countKey("params.threadPool.core", "Pool.Core", func(c *Config) *int { return &c.Pool.Core }),
	countKey("params.threadPool.threadMax", "Pool.Max", func(c *Config) *int { return &c.Pool.Max }),
	secondsKey("params.threadPool.keepAliveTime", "Pool.KeepAlive",
		func(c *Config) *time.Duration { return &c.Pool.KeepAlive }),
	countKey("params.threadPool.queueMax", "Pool.Queue", func(c *Config) *int { return &c.Pool.Queue }),
	{"params.threadPool.isExcInfo", "Pool.RejectWhenFull", `must be true, false, "True", "true", "False" or "false"`,
		setRejectWhenFull},
	countKey("params.threadPool.createThreadThreshold", "Pool.GrowAt", func(c *Config) *int { return &c.Pool.GrowAt }),
	textKey("params.advertise", "Advertise", func(c *Config) *string { return &c.Advertise }),
	textKey("params.cluster", "Cluster", func(c *Config) *string { return &c.Cluster }),
	{"params.guest", "Guest", "must be true or false", setGuest},
	{"params.keys", "Keys", "must be a list of 1 to 8 different keys, each 32 bytes in base64", setKeys},
	{path: "params.heartbeat"},
	secondsKey("params.heartbeat.interval", "Heartbeat.Interval",
		func(c *Config) *time.Duration { return &c.Heartbeat.Interval }),
	countKey("params.heartbeat.budget", "Heartbeat.Budget", func(c *Config) *int { return &c.Heartbeat.Budget }),
	secondsKey("params.heartbeat.tick", "Heartbeat.Tick", func(c *Config) *time.Duration { return &c.Heartbeat.Tick }),
	secondsKey("params.heartbeat.margin", "Heartbeat.Margin",
		func(c *Config) *time.Duration { return &c.Heartbeat.Margin }),
	secondsKey("params.heartbeat.probeEvery", "Heartbeat.ProbeEvery",
		func(c *Config) *time.Duration { return &c.Heartbeat.ProbeEvery }),
	countKey("params.heartbeat.probes", "Heartbeat.Probes", func(c *Config) *int { return &c.Heartbeat.Probes }),
	secondsKey("params.heartbeat.grace", "Heartbeat.Grace",
		func(c *Config) *time.Duration { return &c.Heartbeat.Grace }),
	secondsKey("params.heartbeat.forget", "Heartbeat.Forget",
		func(c *Config) *time.Duration { return &c.Heartbeat.Forget }),
	countKey("params.maxPacket", "MaxPacket", func(c *Config) *int { return &c.MaxPacket }),
	countKey("params.maxMessage", "MaxMessage", func(c *Config) *int { return &c.MaxMessage }),
	{"params.tags", "Tags", "must be an object of strings", setTags},
	{"params.silent", "Silent", "must be true or false", setSilent},
}

func textKey(path, field string, at func(*Config) *string) fileKey {
	return fileKey{path, field, "must be a string", func(f *configFile, raw json.RawMessage) (ok bool) {
		*at(&f.cfg), ok = jsonfile.Decode[string](raw)
		return ok
	}}
}

// countKey takes no 0, here and in secondsKey: in a Config it asks for the default, while whoever writes it into a file
// means it.
func countKey(path, field string, at func(*Config) *int) fileKey {
	want := "must be a whole number" + rangeText(Config{}.counts(), field)
	return fileKey{path, field, want, func(f *configFile, raw json.RawMessage) bool {
		number, err := strconv.Atoi(string(raw))
		if err != nil || number == 0 {
			return false
		}
		*at(&f.cfg) = number
		return true
	}}
}

func secondsKey(path, field string, at func(*Config) *time.Duration) fileKey {
	want := `must be seconds or a text such as "1.5s"` + rangeText(Config{}.times(), field)
	return fileKey{path, field, want, func(f *configFile, raw json.RawMessage) bool {
		d, ok := parseSeconds(raw)
		*at(&f.cfg) = d
		return ok && d != 0
	}}
}

// parseSeconds refuses what a time.Duration cannot hold.
func parseSeconds(raw json.RawMessage) (time.Duration, bool) {
	if text, ok := jsonfile.Decode[string](raw); ok {
		d, err := time.ParseDuration(text)
		return d, err == nil
	}
	number, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(number) >= time.Duration(math.MaxInt64).Seconds() {
		return 0, false
	}
	return time.Duration(math.Round(number * float64(time.Second))), true
}

// setLogLevel lets an unknown level pass with a warning, as the original does: a log line too many is no reason not to
// start.
func setLogLevel(f *configFile, raw json.RawMessage) bool {
	level, ok := jsonfile.Decode[string](raw)
	if ok && !isLogLevel(level) {
		f.warn("logLevel", f.Shown("logLevel", raw)+": "+levelForm+"; info is used")
		level = "info"
	}
	f.cfg.LogLevel = level
	return ok
}

// setApp leaves what the object says to App.
func setApp(f *configFile, raw json.RawMessage) bool {
	f.cfg.app = appSection{f.name, raw}
	return bytes.HasPrefix(raw, []byte("{"))
}

// setPort takes digits in quotes, too; leading zeros, which the original takes for another address, change nothing.
func setPort(f *configFile, raw json.RawMessage) bool {
	digits, ok := jsonfile.Decode[string](raw)
	if !ok {
		digits = string(raw)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	f.port = uint16(port)
	return err == nil
}

func setIP(f *configFile, raw json.RawMessage) bool {
	host, _ := jsonfile.Decode[string](raw)
	ip, err := netip.ParseAddr(host)
	if err != nil || !isUnicast(ip) {
		return false
	}
	f.ip = ip.Unmap()
	return true
}

// setJoin takes null for no string, unlike encoding/json.
func setJoin(f *configFile, raw json.RawMessage) bool {
	values, ok := jsonfile.Decode[[]*string](raw)
	if !ok || slices.Contains(values, nil) {
		return false
	}
	for _, value := range values {
		f.cfg.Join = append(f.cfg.Join, plainSeed(*value))
	}
	return true
}

// plainSeed strips leading zeros of the port. What is no address stays as it is, for Config's check to name it.
func plainSeed(seed string) string {
	if host, port, ok := parseSeed(seed); ok {
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return seed
}

func setRejectWhenFull(f *configFile, raw json.RawMessage) bool {
	switch string(raw) {
	case "true", `"true"`, `"True"`:
		f.cfg.Pool.RejectWhenFull = true
	case "false", `"false"`, `"False"`:
	default:
		return false
	}
	return true
}

func setSilent(f *configFile, raw json.RawMessage) (ok bool) {
	f.cfg.Silent, ok = jsonfile.Decode[bool](raw)
	return ok
}

func setGuest(f *configFile, raw json.RawMessage) (ok bool) {
	f.cfg.Guest, ok = jsonfile.Decode[bool](raw)
	return ok
}

// setKeys takes keys in base64. What they are is never part of a message. How many there are and how long is left to
// Config's check: an empty list is not nil.
func setKeys(f *configFile, raw json.RawMessage) bool {
	list, ok := jsonfile.Decode[[][]byte](raw)
	if ok {
		f.cfg.Keys = list
	}
	return ok
}

func setTags(f *configFile, raw json.RawMessage) bool {
	values, ok := jsonfile.Decode[map[string]*string](raw)
	if !ok {
		return false
	}
	tags := make(map[string]string, len(values))
	for key, value := range values {
		if value == nil {
			return false
		}
		tags[key] = *value
	}
	f.cfg.Tags = tags
	return true
}

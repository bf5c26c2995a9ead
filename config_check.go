package broach

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"broach/internal/jsonfile"
	"broach/internal/seal"
	"broach/internal/udp"
	"broach/internal/wire"
)

// mistake is one thing wrong in a Config: the field, what stands there, and what may stand there.
type mistake struct{ field, value, want string }

// validate returns nil, or one error with a line for each mistake.
func (c Config) validate() error {
	var errs []error
	for _, m := range c.mistakes() {
		errs = append(errs, fmt.Errorf("broach: config: %s: %s: %s", m.field, m.value, m.want))
	}
	return errors.Join(errs...)
}

func (c Config) mistakes() []mistake {
	return slices.Concat(c.textMistakes(), c.addressMistakes(), c.rangeMistakes(), c.poolMistakes(), c.tagMistakes(),
		c.interceptorMistakes())
}

func (c Config) textMistakes() (ms []mistake) {
	texts := []struct {
		field, value string
		most         int
	}{{"Name", c.Name, 200}, {"Version", c.Version, 100}, {"Cluster", c.Cluster, 200}}
	for _, t := range texts {
		if !isPlainText(t.value, t.most) {
			ms = append(ms, mistake{t.field, quoted(t.value), plainTextForm(t.most)})
		}
	}
	if c.LogLevel != "" && !isLogLevel(c.LogLevel) {
		ms = append(ms, mistake{"LogLevel", quoted(c.LogLevel), levelForm})
	}
	if c.Keys != nil { // their number only: an error is logged, a key must not be
		if _, err := seal.NewRing(c.Keys); err != nil {
			ms = append(ms, mistake{"Keys", fmt.Sprintf("%d given", len(c.Keys)),
				fmt.Sprintf("%s (%v)", keysForm, err)})
		}
	}
	return ms
}

const (
	keysForm      = "must be 1 to 8 different keys of 32 bytes, or be left out"
	needAdvertise = "nobody can send to it: needs an advertise address beside it, or a seed that says where it sees" +
		" the node"
	needRoute = "cannot be reached from %v: set Addr, and Advertise where it differs"
)

func (c Config) addressMistakes() (ms []mistake) {
	field, text := c.listenAddr()
	switch addr, ok := parseAddr(text); {
	case !ok:
		ms = append(ms, mistake{field, quoted(text), addrForm})
	case addr.Addr().IsUnspecified() && c.Advertise == "" && len(c.Join) == 0:
		ms = append(ms, mistake{field, quoted(text), needAdvertise})
	}
	if addr, ok := parseAddr(c.Advertise); c.Advertise != "" &&
		(!ok || addr.Addr().IsUnspecified() || addr.Port() == 0) {
		ms = append(ms, mistake{"Advertise", quoted(c.Advertise), advertiseForm})
	}
	if c.Guest && len(c.Join) == 0 {
		ms = append(ms, mistake{"Guest", "true",
			"needs Join (params.clusterAddress): a guest asks a member where functions are"})
	}
	for i, seed := range c.Join {
		field := fmt.Sprintf("Join[%d]", i)
		switch host, _, ok := parseSeed(seed); {
		case !ok:
			ms = append(ms, mistake{field, quoted(seed), seedForm})
		case c.Conn == nil && isElsewhere(host) && c.addr().Addr().IsLoopback():
			ms = append(ms, mistake{field, quoted(seed), fmt.Sprintf(needRoute, c.addr().Addr())})
		}
	}
	return ms
}

// isElsewhere reports whether a host is an IP that is surely not of this host's loopback.
func isElsewhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && !ip.Unmap().IsLoopback() && !ip.IsUnspecified()
}

// listenAddr returns where the node listens and the field that says so. A Conn is bound already, whatever Addr says.
func (c Config) listenAddr() (field, addr string) {
	if c.Conn == nil {
		return "Addr", cmp.Or(c.Addr, defaultAddr)
	}
	if local := c.Conn.LocalAddr(); local != nil {
		addr = local.String()
	}
	return "Conn", addr
}

// bounded is the range of one number of a Config. Zero lies outside it, and is no mistake: it asks for the default.
type bounded[T int | time.Duration] struct {
	field           string
	value, min, max T
}

const maxTime = 365 * 24 * time.Hour

// counts lists the whole numbers. The upper bounds of the pool are far beyond use; they catch a slip of the pen that
// would otherwise show as memory running out.
func (c Config) counts() []bounded[int] {
	return []bounded[int]{
		{"Pool.Core", c.Pool.Core, 1, 1 << 20},
		{"Pool.Max", c.Pool.Max, 1, 1 << 20},
		{"Pool.Queue", c.Pool.Queue, 1, 1 << 24},
		{"Pool.GrowAt", c.Pool.GrowAt, 1, 1 << 24},
		{"Heartbeat.Budget", c.Heartbeat.Budget, 1, 10_000},
		{"Heartbeat.Probes", c.Heartbeat.Probes, 1, 100},
		{"MaxPacket", c.MaxPacket, wire.ControlPacket, udp.MaxDatagram}, // from what membership needs
		{"MaxMessage", c.MaxMessage, 1 << 10, maxMessageMost},
	}
}

// times lists the durations. The loop's tick makes anything under a millisecond a promise nobody keeps. A tick over a
// second would always look like the stall that is assumed when a tick is a second late.
func (c Config) times() []bounded[time.Duration] {
	return []bounded[time.Duration]{
		{"CallTimeout", c.CallTimeout, time.Millisecond, maxTime},
		{"AckTimeout", c.AckTimeout, time.Millisecond, maxTime},
		{"Pool.KeepAlive", c.Pool.KeepAlive, time.Millisecond, maxTime},
		{"Heartbeat.Interval", c.Heartbeat.Interval, time.Millisecond, maxTime},
		{"Heartbeat.Tick", c.Heartbeat.Tick, time.Millisecond, time.Second},
		{"Heartbeat.Margin", c.Heartbeat.Margin, time.Millisecond, maxTime},
		{"Heartbeat.ProbeEvery", c.Heartbeat.ProbeEvery, time.Millisecond, maxTime},
		{"Heartbeat.Grace", c.Heartbeat.Grace, time.Millisecond, maxTime},
		{"Heartbeat.Forget", c.Heartbeat.Forget, time.Millisecond, maxTime},
	}
}

func (b bounded[T]) want() string { return fmt.Sprintf("must be from %v to %v", b.min, b.max) }

// rangeText is the range of a field, behind what its value must be.
func rangeText[T int | time.Duration](numbers []bounded[T], field string) string {
	for _, b := range numbers {
		if b.field == field {
			return ", " + strings.TrimPrefix(b.want(), "must be ")
		}
	}
	panic("broach: internal error: no range for " + field)
}

func (c Config) rangeMistakes() []mistake {
	return append(outOfRange(c.counts()), outOfRange(c.times())...)
}

func outOfRange[T int | time.Duration](numbers []bounded[T]) (ms []mistake) {
	for _, b := range numbers {
		if b.value != 0 && (b.value < b.min || b.value > b.max) {
			ms = append(ms, mistake{b.field, fmt.Sprint(b.value), b.want()})
		}
	}
	return ms
}

func (c Config) poolMistakes() (ms []mistake) {
	p, filled := c.Pool, c.pool()
	if p.Max > 0 && p.Max < p.Core {
		ms = append(ms, mistake{"Pool.Max", strconv.Itoa(p.Max),
			fmt.Sprintf("must not be less than the %d that stay", p.Core)})
	}
	if filled.Queue > 0 && p.GrowAt > filled.Queue {
		ms = append(ms, mistake{"Pool.GrowAt", strconv.Itoa(p.GrowAt),
			fmt.Sprintf("must not be more than the %d that may wait, or no worker is ever added", filled.Queue)})
	}
	return ms
}

const (
	maxTags     = 32
	maxTag      = 255 // bytes of a key or of a value: their lengths fit one byte
	maxTagBytes = 512 // bytes of all together: they share a datagram of 1,200 with the services
)

func (c Config) tagMistakes() (ms []mistake) {
	total := 0
	for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
		value := c.Tags[key]
		total += len(key) + len(value)
		if key == "" || !isPlainText(key, maxTag) {
			ms = append(ms, mistake{"Tags", "key " + quoted(key), "must not be empty, and " + plainTextForm(maxTag)})
		} else if !isPlainText(value, maxTag) {
			ms = append(ms, mistake{"Tags." + key, quoted(value), plainTextForm(maxTag)})
		}
	}
	if len(c.Tags) > maxTags || total > maxTagBytes {
		ms = append(ms, mistake{"Tags", fmt.Sprintf("%d tags of %d bytes", len(c.Tags), total),
			fmt.Sprintf("must be at most %d tags of at most %d bytes in all", maxTags, maxTagBytes)})
	}
	return ms
}

func (c Config) interceptorMistakes() (ms []mistake) {
	for i, f := range c.CallInterceptors {
		if f == nil {
			ms = append(ms, mistake{fmt.Sprintf("CallInterceptors[%d]", i), "nil", "must be a function"})
		}
	}
	for i, f := range c.ServeInterceptors {
		if f == nil {
			ms = append(ms, mistake{fmt.Sprintf("ServeInterceptors[%d]", i), "nil", "must be a function"})
		}
	}
	return ms
}

// isPlainText reports whether s may be shown to people and peers: UTF-8 of at most so many bytes, without control
// characters.
func isPlainText(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func plainTextForm(most int) string {
	return fmt.Sprintf("must be at most %d bytes of UTF-8 without control characters", most)
}

// quoted is a text for a message, where no key belongs.
func quoted(s string) string {
	if isKeyText(s) {
		return hidden
	}
	return strconv.Quote(jsonfile.Shortened(s))
}

// What an address in a Config must look like, in words for the error.
const (
	addrForm = `must be an IP address and a port such as "192.0.2.7:18080" or "[2001:db8::7]:18080", ` +
		`without a zone, not multicast`
	advertiseForm = addrForm + ", not 0.0.0.0 or ::, port 1 to 65535"
	seedForm      = `must be a host name or an IP address and a port 1 to 65535, such as "seed.example.org:18080"`
)

// parseAddr takes an address that the socket of a node may have.
func parseAddr(s string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil || !isUnicast(addr.Addr()) {
		return netip.AddrPort{}, false
	}
	return udp.Unmapped(addr), true
}

// isUnicast takes addresses of one node. A zone names an interface of this machine, and nothing on any other.
func isUnicast(ip netip.Addr) bool {
	return ip.Zone() == "" && !ip.IsMulticast()
}

// parseSeed splits the address of a member to join. The host may be a name, which is not looked up here.
func parseSeed(seed string) (host string, port uint16, ok bool) {
	host, digits, err := net.SplitHostPort(seed)
	number, bad := strconv.ParseUint(digits, 10, 16)
	if err != nil || bad != nil || number == 0 || !isHost(host) {
		return "", 0, false
	}
	return host, uint16(number), true
}

func isHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return isUnicast(ip) && !ip.Unmap().IsUnspecified()
	}
	return isHostName(host)
}

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// isHostName takes what DNS takes. No name ends in a number: that is an IP address with a mistake in it.
func isHostName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if !hostLabel.MatchString(label) {
			return false
		}
	}
	return len(host) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// A key is known by its value, too: whoever writes one under a name of his own wants keys, and one at the wrong place
// must not get into the error that says so.

// isKeyText reports whether a text may be a key: 32 bytes in some base64.
func isKeyText(s string) bool {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	key, err := base64.RawStdEncoding.DecodeString(s)
	return err == nil && len(key) == seal.KeySize
}

// holdsKeyList reports whether a value of a file has, however deep, a list that may be one of keys.
func holdsKeyList(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) > 0 && !slices.ContainsFunc(v, func(v any) bool { return !isAKey(v) }) ||
			slices.ContainsFunc(v, holdsKeyList)
	case map[string]any:
		for _, inner := range v {
			if holdsKeyList(inner) {
				return true
			}
		}
	}
	return false
}

func isAKey(v any) bool {
	text, ok := v.(string)
	return ok && isKeyText(text)
}

// isKeys reports whether what stands under an unknown name is surely meant to be the keys of the cluster. Beside params
// the application may have secrets of its own, and only a list of keys counts.
func (f *configFile) isKeys(s jsonfile.Stray) bool {
	v, _ := jsonfile.Decode[any](s.Raw)
	return holdsKeyList(v) || strings.HasPrefix(s.Path, "params.") && f.HoldsSecret(s.Raw)
}

// meantKey says that what begins like params is meant to be that, or all that it says would be lost, and that in params
// whatever speaks of keys is meant to be those of the cluster: passed over, it would leave the node open.
func meantKey(object, name string) string {
	if object == "" && strings.HasPrefix(name, "param") {
		return "params"
	}
	if strings.HasPrefix(object, "params") && strings.Contains(name, "key") {
		return "params.keys"
	}
	return ""
}

// strayKeys refuses keys under names that are not known, in a file that gives none else: the node would be open.
func (f *configFile) strayKeys() {
	if _, given := f.Raw["params.keys"]; given {
		return
	}
	for _, s := range f.Strays {
		if f.isKeys(s) {
			f.Mistakes = append(f.Mistakes, jsonfile.Mistake{
				Path: s.Path, Value: "unknown key",
				Want: "it looks like keys of the cluster, which stand in params.keys",
			})
		}
	}
}

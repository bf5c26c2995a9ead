package broach

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"broach/internal/jsonfile"
	"broach/internal/seal"
)

// Config says how a node runs. The zero Config is complete: a node on loopback and a free port, alone until somebody
// joins it. Every zero field asks for the default named beside it; a time that is set is 1 ms to 365 days. Start checks
// the whole and reports all mistakes in one error; after that the Config, its slices and its map must not be changed.
type Config struct {
	// Name is that of the application: up to 200 bytes of UTF-8, shared by all its instances; "" is an application
	// without a name
	Name    string
	Version string // of the application: up to 100 bytes of UTF-8, shown to its peers and not interpreted; "" is none

	// Addr is the "ip:port" to bind; "" is "127.0.0.1:0". Port 0 picks a free one. 0.0.0.0 and :: need Advertise, or
	// seeds, of which the node may be one itself: the address at which another sees it is advertised then, and the next
	// one if that changes. It is not looked at where there is a Conn.
	Addr      string
	Advertise string // "ip:port" that peers send to, where it differs from the bound address; "" is the bound address
	// Join has the "host:port" of any live members, host names allowed, which are looked up again, own address
	// harmless; empty waits to be joined
	Join    []string
	Cluster string // up to 200 bytes of UTF-8; nodes of different clusters never mix; "" is "default"

	// Keys of the cluster, 1 to 8 of 32 random bytes each: the first seals all datagrams, all open them. See
	// Node.SetKeys. nil is a node that encrypts nothing and that whoever reaches it can join and call. Keys that are
	// empty but not nil are a mistake, for somebody meant to give some, as is a key that is one byte again and again.
	Keys [][]byte

	CallTimeout time.Duration // deadline of a whole call whose context has none; 0 is 6 s
	AckTimeout  time.Duration // without any sign from the peer for so long, it counts as unreachable; 0 is 3 s
	Pool        Pool          // the workers that run handlers
	Heartbeat   Heartbeat     // how peers are watched

	// MaxPacket is the most bytes in one datagram, 1200 to 21829, above 1200 as far as a path has room; with Keys, what
	// is below 1216 counts as 1216. 0 is 21829, or 1400 where the system may cut datagrams up, so that probing finds
	// nothing: not on Linux, or a Conn on which IP_MTU_DISCOVER is not set
	MaxPacket int
	// MaxMessage is the most bytes in the arguments or the result of one call, 1 KiB to 1 GiB; 0 is 64 MiB. It bounds
	// how many elements they have, too, and what is made of them in memory: docs/values.md
	MaxMessage int

	// Guest makes a process that asks and calls and takes part in nothing: no member hears of it, but for the one of
	// Join that it asks where functions are, and those that it calls. It needs Join. It offers nothing, has no events
	// and no timers, and nobody can call it. Node.Members and Node.Services ask its seed, twice a second at most, and
	// wait for that up to AckTimeout; Node.Watch tells of those alone that it has asked for
	Guest bool

	// Tags are shown to peers: up to 32 tags, up to 255 bytes for a key or a value, up to 512 bytes in all
	Tags map[string]string
	// Logger: nil is slog.Default at the level of LogLevel. It gets its lines from a goroutine of their own: it may
	// block, and call the node
	Logger *slog.Logger

	// LogLevel is "debug", "info", "warn", "error" or "off", in any case; "" is "info", or less if slog.Default
	// enables less. A level that slog.Default does not enable is logged to standard error instead. It is not looked at
	// where there is a Logger.
	//
	// That a node without Keys can be reached from beyond loopback is logged at every LogLevel, "off" included: as a
	// warning, or as an error where slog.Default or the Logger takes no warnings. A Logger that takes neither is not
	// told.
	LogLevel string

	Conn PacketConn // the socket, closed with the node; nil is a UDP socket bound to Addr
	// RandSeed is the start of the node's random choices, to replay a simulation; 0 takes one from crypto/rand. What
	// must be secret never hangs on it
	RandSeed uint64

	// The Interceptors of every call that the node makes, and of every call of a function and every event for a
	// subscriber of the node, the first outermost; none may be nil.
	CallInterceptors, ServeInterceptors []Interceptor
	// Tracer is told of all calls of the node, and of what it serves; nil: nobody is.
	Tracer Tracer

	// Silent keeps to the node what it believes of the cluster, and how it is set: another member's Inspect of it is
	// refused. Its own is not
	Silent bool

	warnings   []string // what LoadConfig could overlook but should not hide; logged by Start
	overridden []string // the variables of the environment that stand for the file, for the log
	app        appSection
	peersMax   int // other nodes that are known at once; 0 is member.PeersMax, which no test can come near
}

const (
	defaultAddr    = "127.0.0.1:0" // nobody else's machine is reached, nor reaches us, unless asked for
	defaultCluster = "default"

	// The timeouts are those the Python programs' configuration files name.
	defaultCallTimeout = 6 * time.Second
	defaultAckTimeout  = 3 * time.Second

	defaultMaxMessage = 64 << 20
	maxMessageMost    = 1 << 30
)

func (c Config) callTimeout() time.Duration { return cmp.Or(c.CallTimeout, defaultCallTimeout) }
func (c Config) ackTimeout() time.Duration  { return cmp.Or(c.AckTimeout, defaultAckTimeout) }
func (c Config) maxPacket(most int) int     { return cmp.Or(c.MaxPacket, most) }
func (c Config) maxMessage() int            { return cmp.Or(c.MaxMessage, defaultMaxMessage) }
func (c Config) cluster() string            { return cmp.Or(c.Cluster, defaultCluster) }

// ring is Keys, which are right, or nil if there are none.
func (c Config) ring() *seal.Ring {
	if len(c.Keys) == 0 {
		return nil
	}
	ring, _ := seal.NewRing(c.Keys)
	return ring
}

// addr is the address to bind where there is no Conn.
func (c Config) addr() netip.AddrPort {
	addr, _ := parseAddr(cmp.Or(c.Addr, defaultAddr))
	return addr
}

// advertise is the address peers are told, given the one the socket got.
func (c Config) advertise(bound netip.AddrPort) netip.AddrPort {
	if addr, ok := parseAddr(c.Advertise); ok {
		return addr
	}
	return bound
}

const (
	logOff    = "off"
	levelForm = "must be debug, info, warn, error or off"
)

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

func isLogLevel(name string) bool {
	name = strings.ToLower(name)
	_, ok := logLevels[name]
	return ok || name == logOff
}

// level is LogLevel, in whatever case it is written; info if unset: it is slog's zero level.
func (c Config) level() (level slog.Level, isOff bool) {
	name := strings.ToLower(c.LogLevel)
	return logLevels[name], name == logOff
}

// logger is where the node logs. A LogLevel that is set is kept even if slog.Default enables less: whoever asks for
// debug lines wants to see them, so they then go to standard error as text. An unset one never makes a program louder
// than it chose to be.
func (c Config) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	level, isOff := c.level()
	if isOff {
		return slog.New(slog.DiscardHandler)
	}
	handler := slog.Default().Handler()
	if c.LogLevel != "" && !handler.Enabled(context.Background(), level) {
		handler = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	}
	return slog.New(levelHandler{handler, level})
}

// leastLevel is that of the lines that the node says at all. A Logger decides for itself.
func (c Config) leastLevel() slog.Level {
	level, isOff := c.level()
	switch {
	case c.Logger != nil && c.Logger.Handler() == slog.DiscardHandler, c.Logger == nil && isOff:
		return slog.LevelError + 1
	case c.Logger != nil:
		return slog.LevelDebug
	}
	return level
}

// loudest is where a line goes that no LogLevel may hide: as a warning, or as an error where only errors are taken. A
// Logger that takes neither was made so by the program, which may know better; where slog.Default takes neither, the
// line goes to standard error.
func (c Config) loudest() (slog.Handler, slog.Level) {
	ctx, log := context.Background(), c.Logger
	if log == nil {
		log = slog.Default()
	}
	switch {
	case log.Enabled(ctx, slog.LevelWarn):
		return log.Handler(), slog.LevelWarn
	case c.Logger == nil && !log.Enabled(ctx, slog.LevelError):
		return slog.NewTextHandler(os.Stderr, nil), slog.LevelError
	}
	return log.Handler(), slog.LevelError
}

// levelHandler passes on records of its level and above, as far as the handler beneath wants them.
type levelHandler struct {
	slog.Handler
	level slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}

// What people and logs are shown of a value are attributes chosen one by one: no field, such as a key, is shown for
// being there.

// hidden stands for a secret.
const hidden = jsonfile.Hidden

// String returns the address, name and cluster of the node and how many keys it has. It never contains a key.
func (n *Node) String() string { return text("Node", n.attrs()) }

// Format prints String, whatever the verb.
func (n *Node) Format(f fmt.State, verb rune) { write(f, verb, n.String()) }

// LogValue returns what String shows.
func (n *Node) LogValue() slog.Value { return logValue(n.attrs()) }

func (n *Node) attrs() []slog.Attr {
	if n == nil {
		return nil
	}
	return n.cfg.attrsWith(slog.Any("addr", n.where()), n.linking.wires.Ring.Load().Len())
}

// where is the address of a node that may be nil, or the zero Node.
func (n *Node) where() netip.AddrPort {
	switch {
	case n == nil:
		return netip.AddrPort{}
	case n.calling.view.Load() == nil:
		return n.addr
	}
	return n.Addr()
}

// String returns the address, name and cluster of the node to be and how many keys it has. It never contains a key.
func (c Config) String() string { return text("Config", c.attrs()) }

// Format prints String, whatever the verb but %p and a misplaced %w, which fmt answers itself. A Config in an
// unexported field of another struct, or a pointer to one, is out of its reach: fmt prints all of it, the keys too.
func (c Config) Format(f fmt.State, verb rune) { write(f, verb, c.String()) }

// LogValue returns what String shows.
func (c Config) LogValue() slog.Value { return logValue(c.attrs()) }

// MarshalJSON returns all fields that a text can have, with a text that is no key for each key: to read it back is an
// error, not a Config without keys.
func (c Config) MarshalJSON() ([]byte, error) {
	type fields Config // without this method
	shown := struct {
		fields
		Keys []string // instead of the fields'

		// likewise: no text has those
		Logger, Conn, CallInterceptors, ServeInterceptors, Tracer *struct{} `json:",omitempty"`
	}{fields: fields(c)}
	if c.Keys != nil {
		shown.Keys = slices.Repeat([]string{hidden}, len(c.Keys))
	}
	return json.Marshal(shown)
}

func (c Config) attrs() []slog.Attr {
	_, addr := c.listenAddr()
	return c.attrsWith(slog.String("addr", addr), len(c.Keys))
}

func (c Config) attrsWith(addr slog.Attr, keys int) []slog.Attr {
	return []slog.Attr{addr, slog.String("name", c.Name), slog.String("cluster", c.cluster()), slog.Int("keys", keys)}
}

// String returns the function's name and the address of the node that calls.
func (c *Caller) String() string { return text("Caller", c.attrs()) }

// Format prints String, whatever the verb.
func (c *Caller) Format(f fmt.State, verb rune) { write(f, verb, c.String()) }

// LogValue returns what String shows.
func (c *Caller) LogValue() slog.Value { return logValue(c.attrs()) }

func (c *Caller) attrs() []slog.Attr {
	if c == nil {
		return nil
	}
	return []slog.Attr{slog.String("service", c.name), slog.Any("node", c.node.where())}
}

// String returns the timer's name, if any, its period and its node's address.
func (t *Timer) String() string { return text("Timer", t.attrs()) }

// Format prints String, whatever the verb.
func (t *Timer) Format(f fmt.State, verb rune) { write(f, verb, t.String()) }

// LogValue returns what String shows.
func (t *Timer) LogValue() slog.Value { return logValue(t.attrs()) }

// attrs needs no lock: of the plan, the period does not change.
func (t *Timer) attrs() []slog.Attr {
	if t == nil {
		return nil
	}
	return []slog.Attr{slog.String("name", t.name), slog.Duration("every", t.plan.Every),
		slog.Any("node", t.node.where())}
}

// String returns the topic of the subscription and the address of its node.
func (s *Subscription) String() string { return text("Subscription", s.attrs()) }

// Format prints String, whatever the verb.
func (s *Subscription) Format(f fmt.State, verb rune) { write(f, verb, s.String()) }

// LogValue returns what String shows.
func (s *Subscription) LogValue() slog.Value { return logValue(s.attrs()) }

func (s *Subscription) attrs() []slog.Attr {
	if s == nil {
		return nil
	}
	return []slog.Attr{slog.String("topic", topicOf(s.row)), slog.Any("node", s.node.where())}
}

// text is a value on one line; without attributes it is nil.
func text(name string, attrs []slog.Attr) string {
	if attrs == nil {
		return "<nil>"
	}
	parts := make([]string, len(attrs))
	for i, a := range attrs {
		value := a.Value.String()
		if a.Value.Kind() == slog.KindString {
			value = strconv.Quote(value)
		}
		parts[i] = a.Key + ":" + value
	}
	return "broach." + name + "{" + strings.Join(parts, " ") + "}"
}

// logValue is a value for a log; without attributes it is nil.
func logValue(attrs []slog.Attr) slog.Value {
	if attrs == nil {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(attrs...)
}

// write prints a text for any verb: fmt itself would print fields for those that are not of texts.
func write(f fmt.State, verb rune, text string) {
	if verb != 'q' {
		verb = 's'
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

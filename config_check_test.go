package broach

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// boundConn is a socket that is bound to addr, or to nothing.
type boundConn struct {
	PacketConn
	addr net.Addr
}

func (c boundConn) LocalAddr() net.Addr { return c.addr }

func TestValidConfigs(t *testing.T) {
	tests := map[string]Config{
		"every bound, low": {
			Pool:      Pool{Core: 1, Max: 1, Queue: 1, GrowAt: 1, KeepAlive: time.Millisecond},
			Heartbeat: Heartbeat{1e6, 1, 1e6, 1e6, 1e6, 1, 1e6, 1e6},
			MaxPacket: 1200, MaxMessage: 1024, CallTimeout: time.Millisecond, AckTimeout: time.Millisecond,
		},
		"every bound, high": {
			Pool:      Pool{Core: 1 << 20, Max: 1 << 20, Queue: 1 << 24, GrowAt: 1 << 24, KeepAlive: maxTime},
			Heartbeat: Heartbeat{maxTime, 10000, time.Second, maxTime, maxTime, 100, maxTime, maxTime},
			MaxPacket: 21829, MaxMessage: 1 << 30, CallTimeout: maxTime, AckTimeout: maxTime,
		},
		"long texts": {
			Name: strings.Repeat("名", 66) + "ab", Version: strings.Repeat("1", 100),
			Cluster: strings.Repeat("c", 200),
		},
		"full tags":            {Tags: map[string]string{strings.Repeat("k", 255): strings.Repeat("v", 255), "k": "v"}},
		"empty tag":            {Tags: map[string]string{"canary": ""}},
		"anywhere":             {Addr: "0.0.0.0:18080", Advertise: "192.0.2.7:18080"},
		"seeds":                {Join: []string{"127.0.0.1:18080", "[::1]:1", "seed.example.org:65535"}},
		"anywhere, to be told": {Addr: "0.0.0.0:18080", Join: []string{"10.0.0.1:18080"}},
		"reached by a tunnel": {Conn: boundConn{addr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}},
			Join: []string{"10.0.0.1:18080"}},
		"log off":           {LogLevel: "off"},
		"a key":             {Keys: [][]byte{keyOf(1)}},
		"choices to replay": {Keys: [][]byte{keyOf(1)}, RandSeed: 7},
		"own socket": {Conn: boundConn{addr: &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}},
			Addr: "0.0.0.0:7"},
		"own socket, advertised": {Conn: boundConn{addr: &net.UDPAddr{IP: net.IPv6unspecified, Port: 7}},
			Advertise: "192.0.2.7:7"},
	}
	for name, c := range tests {
		require.NoError(t, c.validate(), name)
	}
}

func TestEachMistakeIsNamed(t *testing.T) {
	tests := []struct {
		config Config
		want   string
	}{
		{Config{Name: strings.Repeat("n", 201)},
			`Name: "` + strings.Repeat("n", 80) +
				`…": must be at most 200 bytes of UTF-8 without control characters`},
		{Config{Version: "1\n2"}, `Version: "1\n2": must be at most 100 bytes of UTF-8 without control characters`},
		{Config{Cluster: "\xff"}, `Cluster: "\xff": must be at most 200 bytes of UTF-8 without control characters`},
		{Config{LogLevel: "loud"}, `LogLevel: "loud": must be debug, info, warn, error or off`},
		{Config{Keys: [][]byte{[]byte("secret")}},
			`Keys: 1 given: must be 1 to 8 different keys of 32 bytes, or be left out (key 1 has 6 bytes, must have ` +
				`32)`},
		{Config{Keys: [][]byte{}},
			`Keys: 0 given: must be 1 to 8 different keys of 32 bytes, or be left out (0 keys, must be 1 to 8)`},
		{Config{Keys: [][]byte{keyOf(1), make([]byte, 32)}},
			`Keys: 2 given: must be 1 to 8 different keys of 32 bytes, or be left out ` +
				`(key 2 is one byte again and again; make one with: openssl rand -base64 32)`},

		{Config{Addr: "localhost:80"}, `Addr: "localhost:80": ` + addrForm},
		{Config{Addr: "0.0.0.0:80"},
			`Addr: "0.0.0.0:80": nobody can send to it: needs an advertise address beside it, or a seed that says ` +
				`where it sees the node`},
		{Config{Addr: "[::]:80"},
			`Addr: "[::]:80": nobody can send to it: needs an advertise address beside it, or a seed that says ` +
				`where it sees the node`},
		{Config{Advertise: "192.0.2.7:0"}, `Advertise: "192.0.2.7:0": ` + advertiseForm},
		{Config{Advertise: "0.0.0.0:80"}, `Advertise: "0.0.0.0:80": ` + advertiseForm},
		{Config{Advertise: "example.org:80"}, `Advertise: "example.org:80": ` + advertiseForm},
		{Config{Join: []string{"ok:1", "seed"}}, `Join[1]: "seed": ` + seedForm},
		{Config{Join: []string{"seed:1", "10.0.0.1:18080"}},
			`Join[1]: "10.0.0.1:18080": cannot be reached from 127.0.0.1: set Addr, and Advertise where it differs`},
		{Config{Conn: boundConn{}}, `Conn: "": ` + addrForm},
		{Config{Conn: boundConn{addr: &net.UnixAddr{Name: "/run/x"}}}, `Conn: "/run/x": ` + addrForm},
		{Config{Conn: boundConn{addr: &net.UDPAddr{Port: 7}}}, `Conn: ":7": ` + addrForm},
		{Config{Conn: boundConn{addr: &net.UDPAddr{IP: net.IPv4zero, Port: 7}}},
			`Conn: "0.0.0.0:7": nobody can send to it: needs an advertise address beside it, or a seed that says ` +
				`where it sees the node`},

		{Config{CallTimeout: -time.Second}, `CallTimeout: -1s: must be from 1ms to 8760h0m0s`},
		{Config{CallTimeout: 1}, `CallTimeout: 1ns: must be from 1ms to 8760h0m0s`},
		{Config{AckTimeout: maxTime + 1}, `AckTimeout: 8760h0m0.000000001s: must be from 1ms to 8760h0m0s`},
		{Config{MaxPacket: 1199}, `MaxPacket: 1199: must be from 1200 to 21829`},
		{Config{MaxPacket: 21830}, `MaxPacket: 21830: must be from 1200 to 21829`},
		{Config{MaxMessage: 1023}, `MaxMessage: 1023: must be from 1024 to 1073741824`},
		{Config{Pool: Pool{Core: -1}}, `Pool.Core: -1: must be from 1 to 1048576`},
		{Config{Pool: Pool{Max: 1<<20 + 1}}, `Pool.Max: 1048577: must be from 1 to 1048576`},
		{Config{Pool: Pool{Queue: -1, GrowAt: 2}}, `Pool.Queue: -1: must be from 1 to 16777216`},
		{Config{Pool: Pool{GrowAt: -1}}, `Pool.GrowAt: -1: must be from 1 to 16777216`},
		{Config{Pool: Pool{KeepAlive: -1}}, `Pool.KeepAlive: -1ns: must be from 1ms to 8760h0m0s`},
		{Config{Pool: Pool{Core: 3, Max: 2}}, `Pool.Max: 2: must not be less than the 3 that stay`},
		{Config{Pool: Pool{GrowAt: 11, Queue: 10}},
			`Pool.GrowAt: 11: must not be more than the 10 that may wait, or no worker is ever added`},
		{Config{Pool: Pool{GrowAt: 65537}},
			`Pool.GrowAt: 65537: must not be more than the 65536 that may wait, or no worker is ever added`},
		{Config{Heartbeat: Heartbeat{Interval: -1}}, `Heartbeat.Interval: -1ns: must be from 1ms to 8760h0m0s`},
		{Config{Heartbeat: Heartbeat{Budget: 10001}}, `Heartbeat.Budget: 10001: must be from 1 to 10000`},
		{Config{Heartbeat: Heartbeat{Tick: time.Minute}}, `Heartbeat.Tick: 1m0s: must be from 1ms to 1s`},
		{Config{Heartbeat: Heartbeat{Margin: -1}}, `Heartbeat.Margin: -1ns: must be from 1ms to 8760h0m0s`},
		{Config{Heartbeat: Heartbeat{ProbeEvery: -1}}, `Heartbeat.ProbeEvery: -1ns: must be from 1ms to 8760h0m0s`},
		{Config{Heartbeat: Heartbeat{Probes: 101}}, `Heartbeat.Probes: 101: must be from 1 to 100`},
		{Config{Heartbeat: Heartbeat{Grace: -1}}, `Heartbeat.Grace: -1ns: must be from 1ms to 8760h0m0s`},
		{Config{Heartbeat: Heartbeat{Forget: -1}}, `Heartbeat.Forget: -1ns: must be from 1ms to 8760h0m0s`},

		{Config{Tags: map[string]string{"": "x"}},
			`Tags: key "": must not be empty, and must be at most 255 bytes of UTF-8 without control characters`},
		{Config{Tags: map[string]string{"a\x00": "x"}},
			`Tags: key "a\x00": must not be empty, and must be at most 255 bytes of UTF-8 without control characters`},
		{Config{Tags: map[string]string{"zone": "\x1b[2J"}},
			`Tags.zone: "\x1b[2J": must be at most 255 bytes of UTF-8 without control characters`},
		{Config{Tags: tags(33, 1)}, `Tags: 33 tags of 132 bytes: must be at most 32 tags of at most 512 bytes in all`},
		{Config{Tags: tags(3, 168)}, `Tags: 3 tags of 513 bytes: must be at most 32 tags of at most 512 bytes in all`},
	}
	for _, tt := range tests {
		require.EqualError(t, tt.config.validate(), "broach: config: "+tt.want)
	}
}

// tags returns n tags whose keys have three bytes and whose values have size.
func tags(n, size int) map[string]string {
	m := make(map[string]string)
	for i := range n {
		m[fmt.Sprintf("k%02d", i)] = strings.Repeat("v", size)
	}
	return m
}

// "Start checks the whole and reports all mistakes in one error."
func TestAllMistakesComeAtOnce(t *testing.T) {
	c := Config{
		Name: "\x00", Addr: "here", Join: []string{"a", "b:1", "c"}, CallTimeout: -1, Pool: Pool{Core: 9, Max: 8},
		Tags: map[string]string{"b": "\n", "a": "\n"},
	}
	require.EqualError(t, c.validate(), strings.Join([]string{
		`broach: config: Name: "\x00": must be at most 200 bytes of UTF-8 without control characters`,
		`broach: config: Addr: "here": ` + addrForm,
		`broach: config: Join[0]: "a": ` + seedForm,
		`broach: config: Join[2]: "c": ` + seedForm,
		`broach: config: CallTimeout: -1ns: must be from 1ms to 8760h0m0s`,
		`broach: config: Pool.Max: 8: must not be less than the 9 that stay`,
		`broach: config: Tags.a: "\n": must be at most 255 bytes of UTF-8 without control characters`,
		`broach: config: Tags.b: "\n": must be at most 255 bytes of UTF-8 without control characters`,
	}, "\n"))
}

func TestParseSeed(t *testing.T) {
	label := strings.Repeat("a", 63)
	good := map[string]struct {
		host string
		port uint16
	}{
		"127.0.0.1:18080":            {"127.0.0.1", 18080},
		"127.0.0.1:018080":           {"127.0.0.1", 18080},
		"[::1]:1":                    {"::1", 1},
		"seed:65535":                 {"seed", 65535},
		"seed-0.ns_1.svc.local.:80":  {"seed-0.ns_1.svc.local.", 80},
		"1.example.org:80":           {"1.example.org", 80},
		label + ".example.org:18080": {label + ".example.org", 18080},
	}
	for seed, want := range good {
		host, port, ok := parseSeed(seed)
		require.True(t, ok, seed)
		require.Equal(t, want.host, host)
		require.Equal(t, want.port, port)
	}
	bad := []string{
		"", ":", ":80", "seed", "seed:", "seed:0", "seed:65536", "seed:-1", "seed:+1", "seed:http", "::1:80", "[::1]",
		"0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80", "224.0.0.1:80", "[ff02::1]:80", "[fe80::1%eth0]:80",
		"127.0.0.1.5:80", "127.0.0:80", "256.0.0.1:80", "a.99999999999999999999999:80",
		"-seed:80", "seed-:80", "a..b:80", ".:80", "a b:80", "a\n:80", "种子:80", label +
			"a:80", strings.Repeat("a.", 127) + "ab:80",
	}
	for _, seed := range bad {
		_, _, ok := parseSeed(seed)
		require.False(t, ok, "%q", seed)
	}
}

func TestParseAddr(t *testing.T) {
	for _, good := range []string{"127.0.0.1:0", "0.0.0.0:18080", "[::]:18080", "[fe80::1]:65535"} {
		addr, ok := parseAddr(good)
		require.True(t, ok, good)
		require.Equal(t, good, addr.String())
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:", ":80", "localhost:80", "1.2.3.4:65536", "1.2.3:80",
		"[fe80::1%eth0]:80", "224.0.0.1:80", "[::ffff:224.0.0.1]:80", "[ff02::1]:80"} {
		_, ok := parseAddr(bad)
		require.False(t, ok, bad)
	}
}

// Whoever reads that an address cannot be bound reads where it was said.
func TestAddressThatCannotBeBound(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, addr := range []string{taken.LocalAddr().String(), "192.0.2.1:7"} { // of no machine: it is for documents
		_, err := Start(Config{Addr: addr, LogLevel: "Off"})
		require.ErrorContains(t, err, `broach: config: Addr: "`+addr+`": open socket: listen udp4 `+addr+": bind: ")
		require.ErrorContains(t, err,
			" (in a file it is params.rpcIp and params.rpcPort, in the environment BROACH_ADDR)")
		require.True(t, errors.As(err, new(*net.OpError)))
	}
}

func TestLogLevelInAnyCase(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"DEBUG": slog.LevelDebug, "Warn": slog.LevelWarn, "eRRor": slog.LevelError, "OFF": slog.LevelError + 1,
	} {
		c := Config{LogLevel: name}
		require.NoError(t, c.validate(), name)
		require.Equal(t, want, c.leastLevel(), name)
		require.Equal(t, want <= slog.LevelError, c.logger().Enabled(t.Context(), slog.LevelError), name)
	}
}

// unshown are fields of a Config that are no Settings, and why.
var unshown = map[string]string{
	"Keys": "secret", "RandSeed": "of use to simulations alone", "Tags": "a View has them",
	"Logger": "code", "Conn": "code", "Tracer": "code", "CallInterceptors": "code", "ServeInterceptors": "code",
}

// Each field of a Config is shown, or is not for a reason.
func TestSettingsAreAllOfAConfig(t *testing.T) {
	shown := map[string]bool{}
	for _, s := range (Config{}).settings(21829) {
		require.False(t, shown[s.Key], "%s stands twice", s.Key)
		require.True(t, s.Default, "%s", s.Key)
		shown[s.Key] = true
	}
	var look func(of reflect.Type, prefix string)
	look = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			switch f := of.Field(i); {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Struct:
				look(f.Type, f.Name+".")
			case unshown[prefix+f.Name] == "":
				require.True(t, shown[prefix+f.Name], "%s%s is no setting, and not in unshown", prefix, f.Name)
				delete(shown, prefix+f.Name)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
	require.Empty(t, shown)
}

// A Setting is what holds, set or not.
func TestSettingsSayWhatHolds(t *testing.T) {
	c := Config{Name: "shop", CallTimeout: 6 * time.Second, Join: []string{"a.example:1", "10.0.0.7:2"},
		Pool: Pool{Max: 7, RejectWhenFull: true}, Heartbeat: Heartbeat{Grace: time.Second}, Silent: true}
	got := map[string]Setting{}
	for _, s := range c.settings(21829) {
		got[s.Key] = s
	}
	for _, want := range []Setting{
		{"Name", "shop", false}, {"Version", "", true}, {"Addr", "127.0.0.1:0", true}, {"Cluster", "default", true},
		{"CallTimeout", "6s", false}, {"AckTimeout", "3s", true}, {"Join", "a.example:1 10.0.0.7:2", false},
		{"Pool.Max", "7", false}, {"Pool.Queue", "65536", true}, {"Pool.RejectWhenFull", "true", false},
		{"Heartbeat.Grace", "1s", false}, {"Heartbeat.Tick", "30ms", true}, {"MaxPacket", "21829", true},
		{"MaxMessage", "67108864", true}, {"LogLevel", "info", true}, {"Silent", "true", false},
	} {
		require.Equal(t, want, got[want.Key])
	}
}

func TestMistakesInTheEnvironmentNameTheVariable(t *testing.T) {
	for variable, want := range map[string]string{
		"BROACH_ADDR=here":           `broach: BROACH_ADDR: "here": must be an IP address and a port`,
		"BROACH_SEEDS=a:1,b":         `broach: BROACH_SEEDS[1]: "b": must be a host name`,
		"BROACH_SEEDS= , ":           "broach: BROACH_SEEDS: it must name seeds, or not be set at all",
		"BROACH_LOG_LEVEL=loud":      `broach: BROACH_LOG_LEVEL: "loud": `,
		"BROACH_KEYS_FILE=":          "broach: BROACH_KEYS_FILE: it must name a file of keys, or not be set at all",
		"BROACH_KEYS_FILE=/no/where": "broach: BROACH_KEYS_FILE: open (not shown): ",
		"BROACH_KEY=x":               "broach: BROACH_KEY: unknown variable: keys come from the file that BROACH",
	} {
		_, err := parseConfig("f.json", []byte(`{"name": 7}`), variable)
		require.ErrorContains(t, err, want, variable)
		require.ErrorContains(t, err, "broach: f.json: name: 7: must be a string")
	}
}

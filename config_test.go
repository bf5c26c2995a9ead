package broach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZeroConfigIsComplete(t *testing.T) {
	var c Config
	require.NoError(t, c.validate())
	require.Equal(t, netip.MustParseAddrPort("127.0.0.1:0"), c.addr())
	require.Equal(t, "default", c.cluster())
	require.Equal(t, 6*time.Second, c.callTimeout())
	require.Equal(t, 3*time.Second, c.ackTimeout())
	require.Equal(t, 21829, c.maxPacket(21829))
	require.Equal(t, 64<<20, c.maxMessage())
	require.Equal(t, Pool{
		Core: min(runtime.NumCPU(), 4096), Max: 4096, Queue: 65536, GrowAt: 1, KeepAlive: 9 * time.Second,
	}, c.pool())
	require.Equal(t, Heartbeat{
		Interval: time.Second, Budget: 20, Tick: 30 * time.Millisecond, Margin: 150 * time.Millisecond,
		ProbeEvery: 60 * time.Millisecond, Probes: 6, Grace: 300 * time.Millisecond, Forget: 24 * time.Hour,
	}, c.heartbeat())
}

func TestSetFieldsWinOverDefaults(t *testing.T) {
	c := Config{
		Addr: "[::1]:7", Advertise: "192.0.2.7:8", Cluster: "blue", CallTimeout: 1, AckTimeout: 2, MaxPacket: 3,
		MaxMessage: 4,
		Pool:       Pool{Core: 5, Max: 6, Queue: 7, GrowAt: 8, KeepAlive: 9, RejectWhenFull: true},
		Heartbeat: Heartbeat{Interval: 1, Budget: 2, Tick: 3, Margin: 4, ProbeEvery: 5, Probes: 6, Grace: 7,
			Forget: 8},
	}
	require.Equal(t, netip.MustParseAddrPort("[::1]:7"), c.addr())
	require.Equal(t, "blue", c.cluster())
	require.EqualValues(t, 1, c.callTimeout())
	require.EqualValues(t, 2, c.ackTimeout())
	require.Equal(t, 3, c.maxPacket(21829))
	require.Equal(t, 4, c.maxMessage())
	require.Equal(t, c.Pool, c.pool())
	require.Equal(t, c.Heartbeat, c.heartbeat())
}

func TestPeersAreToldTheBoundAddressUnlessAnotherIsAdvertised(t *testing.T) {
	bound := netip.MustParseAddrPort("127.0.0.1:40000")
	require.Equal(t, bound, Config{}.advertise(bound))
	require.Equal(t, netip.MustParseAddrPort("192.0.2.7:8"), Config{Advertise: "192.0.2.7:8"}.advertise(bound))
}

func TestIPv4InIPv6IsIPv4(t *testing.T) {
	require.Equal(t, netip.MustParseAddrPort("127.0.0.1:7"), Config{Addr: "[::ffff:127.0.0.1]:7"}.addr())
}

// "Max is never under Core, whichever of the two was set and however many CPUs there are."
func TestOneBoundOfThePoolMovesTheOther(t *testing.T) {
	small := Config{Pool: Pool{Max: 1}}
	require.NoError(t, small.validate())
	require.Equal(t, 1, small.pool().Core)

	large := Config{Pool: Pool{Core: 5000}}
	require.NoError(t, large.validate())
	require.Equal(t, 5000, large.pool().Max)
}

func TestUDPSocketIsAPacketConn(t *testing.T) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(Config{}.addr()))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, Config{Conn: conn, Addr: "not looked at beside Conn"}.validate())
}

// configFields returns the names of the exported fields of a struct of the configuration, those of inner structs with a
// dot.
func configFields(t reflect.Type, prefix string) (names []string) {
	for field := range t.Fields() {
		switch {
		case !field.IsExported():
		case field.Type == reflect.TypeFor[Pool](), field.Type == reflect.TypeFor[Heartbeat]():
			names = append(names, configFields(field.Type, field.Name+".")...)
		default:
			names = append(names, prefix+field.Name)
		}
	}
	return names
}

func TestEveryFieldThatAFileCanHoldHasOneKey(t *testing.T) {
	want := map[string]int{}
	for _, name := range configFields(reflect.TypeFor[Config](), "") {
		want[name] = 1
	}
	// no text names a logger, a socket or a function; replaying is for tests
	for _, name := range []string{"Logger", "Conn", "RandSeed", "CallInterceptors", "ServeInterceptors", "Tracer"} {
		require.Contains(t, want, name)
		delete(want, name)
	}
	got := map[string]int{}
	for _, key := range fileKeys {
		if key.field != "" {
			got[key.field]++
		}
	}
	require.Equal(t, want, got)
}

func TestEveryObjectOfTheTableStandsInIt(t *testing.T) {
	for _, key := range fileKeys {
		object, _ := objectOf(key.path)
		i := slices.IndexFunc(fileKeys, func(k fileKey) bool { return k.path == object })
		require.Equal(t, object != "", i >= 0, key.path)
		require.True(t, object == "" || fileKeys[i].set == nil, key.path)
	}
}

// The rows of the table differ in little but a key, a field and an address: a slip in one would set another field.
func TestEveryNumberArrivesInItsFieldAndNoOther(t *testing.T) {
	rows := make(map[string]any)
	for _, b := range (Config{}).counts() {
		rows[b.field] = 700
	}
	for _, b := range (Config{}).times() {
		rows[b.field] = 700 * time.Second
	}
	for _, key := range fileKeys {
		want, ok := rows[key.field]
		if !ok {
			continue
		}
		delete(rows, key.field)
		var f configFile
		require.True(t, key.set(&f, []byte("700")), key.path)
		field := reflect.ValueOf(&f.cfg).Elem()
		for part := range strings.SplitSeq(key.field, ".") {
			field = field.FieldByName(part)
		}
		require.Equal(t, want, field.Interface(), key.path)
		field.SetZero()
		require.Equal(t, Config{}, f.cfg, key.path)
	}
	require.Empty(t, rows, "fields without a key")
}

func TestSeconds(t *testing.T) {
	good := map[string]time.Duration{
		"6": 6 * time.Second, "0.25": 250 * time.Millisecond, "1e-3": time.Millisecond, "0.1": 100 * time.Millisecond,
		"1.001":  1001 * time.Millisecond, // a little less as a float64
		`"1.5s"`: 1500 * time.Millisecond, `"2m"`: 2 * time.Minute, "-1": -time.Second,
		"9223372036": 9223372036 * time.Second,
	}
	for raw, want := range good {
		d, ok := parseSeconds([]byte(raw))
		require.True(t, ok, raw)
		require.Equal(t, want, d, raw)
	}
	for _, raw := range []string{"null", "true", "[]", `""`, `"6"`, `"1.5 s"`, `"1000000h1000000000000h"`, "1e400",
		"-1e400",
		"9223372036.854775807", "-9223372036.854775807", "1e10"} {
		_, ok := parseSeconds([]byte(raw))
		require.False(t, ok, raw)
	}
}

// meantFor is the key that a file with an unknown one in an object is told of, or "".
func meantFor(t *testing.T, object, name string) string {
	text := "{" + strconv.Quote(name) + ": 1}"
	for _, outer := range slices.Backward(strings.FieldsFunc(object, func(r rune) bool { return r == '.' })) {
		text = "{" + strconv.Quote(outer) + ": " + text + "}"
	}
	_, err := parseConfig("f", []byte(text))
	if err == nil {
		return ""
	}
	require.ErrorContains(t, err, "unknown key: the nearest known key is ")
	return err.Error()[strings.LastIndex(err.Error(), " ")+1:]
}

func TestMeantKey(t *testing.T) {
	meant := map[string]string{
		"key": "params.keys", "kyes": "params.keys", "Keys": "params.keys", "KEYS": "params.keys",
		"keyss": "params.keys",
		"kes":   "params.keys", "_keys": "params.keys", "//keys": "params.keys", "clusterKeys": "params.keys",
		"encryptionKey": "params.keys", "keyFile": "params.keys",
		"clster": "params.cluster", "Cluster": "params.cluster", "clusters": "params.cluster",
		"advertize": "params.advertise", "advertised": "params.advertise",
		"cluster_address": "params.clusterAddress", "clusterAdress": "params.clusterAddress",
		"rpc_port": "params.rpcPort",
		"timeout":  "params.rpcTimeOut", "threadpool": "params.threadPool", "threadMax": "params.threadPool.threadMax",
		"hearbeat": "params.heartbeat", "tag": "params.tags", "nme": "name", "loglevel": "logLevel",
	}
	for name, want := range meant {
		require.Equal(t, want, meantFor(t, "params", name), name)
	}
	long := strings.Repeat("x", maxConfigFile-100)
	for _, name := range []string{"", "x", "port", "comment", "mode", "region", "database", long} {
		require.Empty(t, meantFor(t, "params", name), name)
	}
	require.Equal(t, "params.keys", meantFor(t, "params.heartbeat", "clusterKeys"))
	require.Equal(t, "params.keys", meantFor(t, "", "key"))
	require.Empty(t, meantFor(t, "", "apiKey"), "it may be the application's own")
}

// A letter left out, doubled, replaced or swapped with the one before, or all in capitals, for each key there is.
func TestEverySlipOfThePenIsRefused(t *testing.T) {
	for _, key := range fileKeys {
		object, leaf := objectOf(key.path)
		for i := range leaf {
			slips := []string{leaf[:i] + leaf[i+1:], leaf[:i+1] + leaf[i:], leaf[:i] + "q" + leaf[i+1:],
				strings.ToUpper(leaf)}
			if i > 0 {
				slips = append(slips, leaf[:i-1]+leaf[i:i+1]+leaf[i-1:i]+leaf[i+1:])
			}
			for _, slip := range slips {
				path := strings.TrimPrefix(object+"."+slip, ".")
				if !slices.ContainsFunc(fileKeys, func(k fileKey) bool { return k.path == path }) {
					require.NotEmpty(t, meantFor(t, object, slip), "%s in %q", slip, object)
				}
			}
		}
	}
}

// objectOf splits the path of a key into that of its object and its name there.
func objectOf(path string) (object, name string) {
	dot := strings.LastIndexByte(path, '.')
	return path[:max(dot, 0)], path[dot+1:]
}

// someKey is a key as a file has it.
func someKey(n int) string {
	key := sha256.Sum256(fmt.Append(nil, n))
	return base64.StdEncoding.EncodeToString(key[:])
}

// "Whoever wanted keys does not get a node without": what is a key stands under a name that is not known, in a file
// that gives none.
func TestKeysUnderAnyOtherNameAreRefused(t *testing.T) {
	list, one := `["`+someKey(1)+`", "`+someKey(2)+`"]`, `"`+someKey(3)+`"`
	refused := []string{
		`{"clusterKeys": LIST}`, `{"settings": {"keys": LIST}}`,
		`{"broach": [{"params": {"keys": LIST}}]}`,
		`{"params": {"secret": ONE}}`, `{"params": {"psk": LIST}}`, `{"params": {"encryption": {"with": ONE}}}`,
		`{"params": {"kеуs": LIST}}`,
		`{"params": {"k\u200beys": LIST}}`, `{"params": {"threadPool": {"secrets": LIST}}}`,
		`{"params": {"vault": {ONE: 1}}}`,
	}
	for _, text := range refused {
		text = strings.NewReplacer("LIST", list, "ONE", one).Replace(text)
		_, err := parseConfig("f", []byte(text))
		require.ErrorContains(t, err, "params.keys", text)
	}
	taken := []string{
		`{"apiKey": ONE}`, `{"web": {"session": ONE}}`, `{"list": []}`, `{"list": [[], {}, 1, "x", null]}`,
		`{"params": {"secret": "x", "region": [null, 1]}}`,
		`{"cookies": LIST, "params": {"keys": LIST}}`, `{"params": {"keys": LIST, "old": LIST}}`,
	}
	for _, text := range taken {
		text = strings.NewReplacer("LIST", list, "ONE", one).Replace(text)
		_, err := parseConfig("f", []byte(text))
		require.NoError(t, err, text)
	}
}

// A key at the wrong place is a mistake, and no part of what is said of it.
func TestNoMistakeShowsAKey(t *testing.T) {
	for _, key := range fileKeys {
		for _, value := range []string{`"KEY"`, `["KEY"]`, `{"keys": ["KEY"]}`, `{"KEY": 1}`, `[["KEY"], "x"]`} {
			text := value
			for path := key.path; path != ""; {
				object, leaf := objectOf(path)
				text, path = fmt.Sprintf(`{"twice": 1, "twice": 2, %q: %s}`, leaf, text), object
			}
			_, err := parseConfig("f", []byte(strings.ReplaceAll(text, "KEY", someKey(1))))
			require.Error(t, err)
			require.NotContains(t, err.Error(), someKey(1)[:12], key.path)
		}
	}
	secret := someKey(1)
	for _, cfg := range []Config{{Advertise: secret}, {Addr: secret}, {Join: []string{secret}}, {LogLevel: secret}} {
		err := cfg.validate()
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret[:12])
	}
	cfg, err := parseConfig("f", []byte(`{"params": {"keys": ["`+someKey(2)+`"], "`+secret+`": 1}}`))
	require.NoError(t, err)
	require.Len(t, cfg.warnings, 1)
	require.NotContains(t, cfg.warnings[0], secret[:12])
}

func TestIsKeyText(t *testing.T) {
	key := sha256.Sum256([]byte("a"))
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		require.True(t, isKeyText(encoding.EncodeToString(key[:])))
		require.False(t, isKeyText(encoding.EncodeToString(key[:31])))
		require.False(t, isKeyText(encoding.EncodeToString(append(key[:], 1))))
	}
	for _, text := range []string{"", "=", "params", "10.0.0.1:7000", strings.Repeat(" ", 44)} {
		require.False(t, isKeyText(text), text)
	}
}

// captured runs a program whose slog.Default is at level, and returns what came out of it and what came out of standard
// error.
func captured(t *testing.T, level slog.Level, program func()) (own, stderr string) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	before, stderrBefore := slog.Default(), os.Stderr
	defer func() { slog.SetDefault(before); os.Stderr = stderrBefore }()
	os.Stderr = file

	var out bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
	program()
	data, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return out.String(), string(data)
}

// logged logs one line of each level as a node with c, and returns the levels that came out.
func logged(t *testing.T, level slog.Level, c Config) (own, stderr string) {
	own, stderr = captured(t, level, func() {
		log := c.logger().With("node", 1).WithGroup("g")
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(context.Background(), l, l.String(), "k", 2)
		}
	})
	return messages(t, own), messages(t, stderr)
}

// messages returns the msg of each line, and insists on the attributes that logged adds.
func messages(t *testing.T, text string) string {
	var found []string
	for line := range strings.Lines(text) {
		require.Contains(t, line, "node=1 g.k=2")
		_, rest, _ := strings.Cut(line, "msg=")
		msg, _, _ := strings.Cut(rest, " ")
		found = append(found, msg)
	}
	return strings.Join(found, " ")
}

func TestLogLevels(t *testing.T) {
	tests := []struct {
		program     slog.Level // of slog.Default
		level       string
		own, stderr string
	}{
		{slog.LevelInfo, "", "INFO WARN ERROR", ""},
		{slog.LevelDebug, "", "INFO WARN ERROR", ""},
		{slog.LevelError, "", "ERROR", ""}, // "An unset one never makes a program louder than it chose to be."
		{slog.LevelDebug, "debug", "DEBUG INFO WARN ERROR", ""},
		{slog.LevelInfo, "info", "INFO WARN ERROR", ""},
		{slog.LevelInfo, "warn", "WARN ERROR", ""},
		{slog.LevelInfo, "error", "ERROR", ""},
		{slog.LevelDebug, "off", "", ""},
		// "A LogLevel that is set is kept even if slog.Default enables less."
		{slog.LevelInfo, "debug", "", "DEBUG INFO WARN ERROR"},
		{slog.LevelError, "warn", "", "WARN ERROR"},
	}
	for _, tt := range tests {
		own, stderr := logged(t, tt.program, Config{LogLevel: tt.level})
		require.Equal(t, tt.own, own, "slog.Default at %v, LogLevel %q", tt.program, tt.level)
		require.Equal(t, tt.stderr, stderr, "slog.Default at %v, LogLevel %q", tt.program, tt.level)
	}
}

func TestLoggerIsTakenAsItIs(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	require.Same(t, log, Config{Logger: log, LogLevel: "debug"}.logger())
}

// A level that a Config does not ask for costs nothing: its lines are not made.
func TestLinesBelowTheLevelAreNotMade(t *testing.T) {
	for _, c := range []Config{{LogLevel: "info"}, {}, {LogLevel: "off"}, {Logger: slog.New(slog.DiscardHandler)}} {
		require.False(t, newJournal(c).Wants(slog.LevelDebug), "%v", c)
	}
	require.False(t, newJournal(Config{LogLevel: "off"}).Wants(slog.LevelError))
	require.False(t, newJournal(Config{LogLevel: "error"}).Wants(slog.LevelWarn))
}

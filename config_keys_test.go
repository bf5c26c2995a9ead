package broach

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
	for _, name := range []string{"Logger", "Conn", "RandSeed", "CallInterceptors", "ServeInterceptors"} {
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
		`"1.5s"`: 1500 * time.Millisecond, `"2m"`: 2 * time.Minute, "-1": -time.Second, "9223372036": 9223372036 * time.Second,
	}
	for raw, want := range good {
		d, ok := parseSeconds([]byte(raw))
		require.True(t, ok, raw)
		require.Equal(t, want, d, raw)
	}
	for _, raw := range []string{"null", "true", "[]", `""`, `"6"`, `"1.5 s"`, `"1000000h1000000000000h"`, "1e400", "-1e400",
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
		"key": "params.keys", "kyes": "params.keys", "Keys": "params.keys", "KEYS": "params.keys", "keyss": "params.keys",
		"kes": "params.keys", "_keys": "params.keys", "//keys": "params.keys", "clusterKeys": "params.keys",
		"encryptionKey": "params.keys", "keyFile": "params.keys",
		"clster": "params.cluster", "Cluster": "params.cluster", "clusters": "params.cluster",
		"advertize": "params.advertise", "advertised": "params.advertise",
		"cluster_address": "params.clusterAddress", "clusterAdress": "params.clusterAddress", "rpc_port": "params.rpcPort",
		"timeout": "params.rpcTimeOut", "threadpool": "params.threadPool", "threadMax": "params.threadPool.threadMax",
		"hearbeat": "params.heartbeat", "tag": "params.tags", "nme": "name", "loglevel": "logLevel",
	}
	for name, want := range meant {
		require.Equal(t, want, meantFor(t, "params", name), name)
	}
	for _, name := range []string{"", "x", "port", "comment", "mode", "region", "database", strings.Repeat("x", maxConfigFile-100)} {
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
			slips := []string{leaf[:i] + leaf[i+1:], leaf[:i+1] + leaf[i:], leaf[:i] + "q" + leaf[i+1:], strings.ToUpper(leaf)}
			if i > 0 {
				slips = append(slips, leaf[:i-1]+leaf[i:i+1]+leaf[i-1:i]+leaf[i+1:])
			}
			for _, slip := range slips {
				if !slices.ContainsFunc(fileKeys, func(k fileKey) bool { return k.path == strings.TrimPrefix(object+"."+slip, ".") }) {
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

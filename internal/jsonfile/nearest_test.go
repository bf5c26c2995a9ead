package jsonfile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// people is a schema like that of a configuration.
var people = Schema{Keys: []Key{
	{Path: "name"}, {Path: "params", IsObject: true}, {Path: "params.rpcPort"}, {Path: "params.rpcIp"},
	{Path: "params.clusterAddress"},
	{Path: "params.rpcTimeOut"}, {Path: "params.threadPool", IsObject: true}, {Path: "params.threadPool.core"},
	{Path: "params.threadPool.threadMax"},
	{Path: "params.heartbeat", IsObject: true}, {Path: "params.heartbeat.tick"}, {Path: "params.heartbeat.probes"},
	{Path: "params.tags"},
}}

func TestNearestKey(t *testing.T) {
	tests := []struct{ object, name, want string }{
		{"params", "rpcTimeout", "params.rpcTimeOut"},
		{"params", "RPCPORT", "params.rpcPort"},
		{"params", "clusterAdress", "params.clusterAddress"},
		{"params.threadPool", "threadsMax", "params.threadPool.threadMax"},
		{"params", "threadMax", "params.threadPool.threadMax"}, // wrong object
		{"", "rpcIp", "params.rpcIp"},
		{"params.heartbeat", "probe", "params.heartbeat.probes"},
		{"params", "pore", "params.threadPool.core"},
		{"params.heartbeat", "gore", "params.threadPool.core"},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, people.Nearest(tt.object, tt.name), "%s in %q", tt.name, tt.object)
	}
	require.NotEmpty(t, people.Nearest("", strings.Repeat("x", 1<<20)))
}

func TestEquallyNearKeysAreSettledByTheirObject(t *testing.T) {
	// "tac" is two letters from "tags" and from "tick", and farther from all others.
	require.Equal(t, "params.tags", people.Nearest("params", "tac"))
	require.Equal(t, "params.heartbeat.tick", people.Nearest("params.heartbeat", "tac"))
}

func TestEditDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"abc", "", 3},
		{"abc", "abd", 1}, {"abc", "bc", 1}, {"abc", "abxc", 1}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"ab", "bca", 3},
		{"kitten", "sitting", 3}, {"flaw", "lawn", 2},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, editDistance(tt.a, tt.b), "%q to %q", tt.a, tt.b)
	}
}

// A file is read by its schema: known values, what is wrong, and what is passed over.
func TestRead(t *testing.T) {
	guided := people
	guided.IsSecret = func(text string) bool { return text == "s3cret" }
	guided.Hides = func(path string) bool { return path == "params.tags" }
	guided.Guess = func(_, name string) string { return map[string]string{"nickname": "name"}[name] }
	f, err := guided.Read([]byte("\xef\xbb\xbf" + `
		{"name": 1, "name": "a", "params": {"rpcPrt": 5, "tags": {}, "s3cret": 1}, "nickname": 1, "colour": "s3cret"}`))
	require.NoError(t, err)
	require.Equal(t, map[string]json.RawMessage{"name": json.RawMessage(`"a"`), "params.tags": json.RawMessage("{}")},
		f.Raw)
	require.Equal(t, []Mistake{
		{"name", "given twice", "must stand once"},
		{"nickname", "unknown key", "the nearest known key is name"},
		{"params.rpcPrt", "unknown key", "the nearest known key is params.rpcPort"},
	}, f.Mistakes)
	require.Equal(t, []Stray{{"colour", json.RawMessage(`"s3cret"`)}, {`params.(not shown)`, json.RawMessage("1")}},
		f.Strays)
	require.Equal(t, "(not shown)", f.Shown("colour", f.Strays[0].Raw))
	require.Equal(t, "(not shown)", f.Shown("params.tags", f.Raw["params.tags"]))
	require.Equal(t, `{"a":1}`, f.Shown("colour", []byte(`{ "a": 1 }`)))
	f.Reject("", nil, "must be better")
	require.Equal(t, Mistake{"the whole file", "(not shown)", "must be better"}, f.Mistakes[3])

	f, err = people.Read([]byte(`{"params": [1]}`))
	require.NoError(t, err)
	require.Equal(t, []Mistake{{"params", "[1]", "must be an object"}}, f.Mistakes)
	_, err = people.Read([]byte(`{`))
	require.ErrorContains(t, err, "line 1, column 1")
}

func TestShortenKeepsWholeCharacters(t *testing.T) {
	require.Equal(t, strings.Repeat("a", 80), Shortened(strings.Repeat("a", 80)))
	require.Equal(t, strings.Repeat("a", 80)+"…", Shortened(strings.Repeat("a", 81)))
	require.Equal(t, strings.Repeat("名", 26)+"…", Shortened(strings.Repeat("名", 27)))
}

package broach

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
		require.Equal(t, tt.want, nearestKey(tt.object, tt.name), "%s in %q", tt.name, tt.object)
	}
	require.NotEmpty(t, nearestKey("", strings.Repeat("x", maxConfigFile)))
}

func TestEquallyNearKeysAreSettledByTheirObject(t *testing.T) {
	// "tac" is two letters from "tags" and from "tick", and farther from all others.
	require.Equal(t, "params.tags", nearestKey("params", "tac"))
	require.Equal(t, "params.heartbeat.tick", nearestKey("params.heartbeat", "tac"))
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
		require.Equal(t, want, meantKey("params", name), name)
	}
	for _, name := range []string{"", "x", "port", "comment", "mode", "region", "database", strings.Repeat("x", maxConfigFile)} {
		require.Empty(t, meantKey("params", name), name)
	}
	require.Equal(t, "params.keys", meantKey("params.heartbeat", "clusterKeys"))
	require.Equal(t, "params.keys", meantKey("", "key"))
	require.Empty(t, meantKey("", "apiKey"), "it may be the application's own")
}

// A letter left out, doubled, replaced or swapped with the one before, or all in capitals, for each key there is.
func TestEverySlipOfThePenIsRefused(t *testing.T) {
	for _, key := range fileKeys {
		object, leaf := splitKey(key.path)
		for i := range leaf {
			slips := []string{leaf[:i] + leaf[i+1:], leaf[:i+1] + leaf[i:], leaf[:i] + "q" + leaf[i+1:], strings.ToUpper(leaf)}
			if i > 0 {
				slips = append(slips, leaf[:i-1]+leaf[i:i+1]+leaf[i-1:i]+leaf[i+1:])
			}
			for _, slip := range slips {
				if _, known := findKey(joinKey(object, slip)); !known {
					require.NotEmpty(t, meantKey(object, slip), joinKey(object, slip))
				}
			}
		}
	}
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

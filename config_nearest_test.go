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

func TestEditDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"abc", "", 3},
		{"abc", "abd", 1}, {"abc", "bc", 1}, {"abc", "abxc", 1}, {"ab", "ba", 2},
		{"kitten", "sitting", 3}, {"flaw", "lawn", 2},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, editDistance(tt.a, tt.b), "%q to %q", tt.a, tt.b)
	}
}

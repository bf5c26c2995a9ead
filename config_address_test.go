package broach

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
		"-seed:80", "seed-:80", "a..b:80", ".:80", "a b:80", "a\n:80", "种子:80", label + "a:80", strings.Repeat("a.", 127) + "ab:80",
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
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:", ":80", "localhost:80", "1.2.3.4:65536", "1.2.3:80", "[fe80::1%eth0]:80",
		"224.0.0.1:80", "[::ffff:224.0.0.1]:80", "[ff02::1]:80"} {
		_, ok := parseAddr(bad)
		require.False(t, ok, bad)
	}
}

package broach

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// "The file keeps the original's schema; its three sample files must run."
func TestSampleFilesOfTheOriginal(t *testing.T) {
	addrs := map[string]string{
		"application.json": "127.0.0.1:18080", "application1.json": "127.0.0.1:18081",
		"application2.json": "127.0.0.1:18082",
	}
	for name, addr := range addrs {
		got, err := LoadConfig(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.Equal(t, Config{
			Name: "BroachRpc", Version: "1.0.0", LogLevel: "debug",
			Addr: addr, Join: []string{"127.0.0.1:18080"},
			CallTimeout: 6 * time.Second, AckTimeout: 3 * time.Second,
			Pool: Pool{Core: 3, Max: 15, Queue: 1000, GrowAt: 2, KeepAlive: 9 * time.Second},
		}, got)
	}
}

func TestFileWithEveryKey(t *testing.T) {
	got, err := parseConfig("all.json", []byte(`{
		"name": "shop", "version": "2", "logLevel": "warn",
		"params": {
			"rpcPort": 18080, "rpcIp": "::", "clusterAddress": ["seed:1", "[::1]:2"], "rpcTimeOut": 0.5,
			"udpTimeOut": "1.5s",
			"threadPool": {
				"core": 1, "threadMax": 2, "keepAliveTime": "1m", "queueMax": 3, "isExcInfo": true,
				"createThreadThreshold": 3
			},
			"advertise": "192.0.2.7:18080", "cluster": "blue", "keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
			"heartbeat": {
				"interval": 2, "budget": 40, "tick": 0.01, "margin": "100ms", "probeEvery": 0.03, "probes": 5,
				"grace": 0.2,
				"forget": "1h"
			},
			"guest": true, "maxPacket": 1200, "maxMessage": 1048576, "tags": {"zone": "a", "canary": ""}
		}
	}`))
	require.NoError(t, err)
	require.Equal(t, Config{
		Name: "shop", Version: "2", LogLevel: "warn",
		Addr: "[::]:18080", Advertise: "192.0.2.7:18080", Join: []string{"seed:1", "[::1]:2"}, Cluster: "blue",
		Keys: [][]byte{[]byte("\x00\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f" +
			"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")},
		CallTimeout: 500 * time.Millisecond, AckTimeout: 1500 * time.Millisecond,
		Pool: Pool{Core: 1, Max: 2, Queue: 3, GrowAt: 3, KeepAlive: time.Minute, RejectWhenFull: true},
		Heartbeat: Heartbeat{
			Interval: 2 * time.Second, Budget: 40, Tick: 10 * time.Millisecond, Margin: 100 * time.Millisecond,
			ProbeEvery: 30 * time.Millisecond, Probes: 5, Grace: 200 * time.Millisecond, Forget: time.Hour,
		},
		Guest: true, MaxPacket: 1200, MaxMessage: 1 << 20, Tags: map[string]string{"zone": "a", "canary": ""},
	}, got)
}

func TestGoodFiles(t *testing.T) {
	tests := []struct {
		data string
		want Config
	}{
		{`{}`, Config{}},
		{`{"logLevel": "INFO"}`, Config{LogLevel: "INFO"}},
		{`{"name": "a", "version": "1", "logLevel": "info"}`, Config{Name: "a", Version: "1", LogLevel: "info"}},
		{`{"name": "a", "version": "1", "logLevel": "info", "params": {}}`,
			Config{Name: "a", Version: "1", LogLevel: "info"}},
		{"\xef\xbb\xbf{\"name\": \"端口\"}", Config{Name: "端口"}},
		{`{"params": {"rpcPort": 0}}`, Config{Addr: "127.0.0.1:0"}},
		{`{"params": {"rpcPort": "018080"}}`, Config{Addr: "127.0.0.1:18080"}},
		{`{"params": {"rpcIp": "::1"}}`, Config{Addr: "[::1]:0"}},
		{`{"params": {"rpcIp": "::ffff:10.0.0.1", "rpcPort": 7}}`, Config{Addr: "10.0.0.1:7"}},
		{`{"params": {"clusterAddress": []}}`, Config{}},
		{`{"params": {"clusterAddress": ["127.0.0.1:018081"]}}`, Config{Join: []string{"127.0.0.1:18081"}}},
		{`{"params": {"threadPool": {"isExcInfo": "True"}}}`, Config{Pool: Pool{RejectWhenFull: true}}},
		{`{"params": {"threadPool": {"isExcInfo": "true"}}}`, Config{Pool: Pool{RejectWhenFull: true}}},
		{`{"params": {"threadPool": {"isExcInfo": true}}}`, Config{Pool: Pool{RejectWhenFull: true}}},
		{`{"params": {"threadPool": {"isExcInfo": "False"}}}`, Config{}},
		{`{"params": {"threadPool": {"isExcInfo": "false"}}}`, Config{}},
		{`{"params": {"threadPool": {"isExcInfo": false}}}`, Config{}},
	}
	for _, tt := range tests {
		got, err := parseConfig("good.json", []byte(tt.data))
		require.NoError(t, err, tt.data)
		require.Equal(t, tt.want, got, tt.data)
	}
}

func TestBadFiles(t *testing.T) {
	const (
		pool = `must be a whole number, from 1 to 1048576`
		time = `must be seconds or a text such as "1.5s", from 1ms to 8760h0m0s`
		ip   = `must be an IP address such as "192.0.2.7" or "2001:db8::7", without a zone, not multicast`
		port = `must be a whole number from 0 to 65535`
		keys = `params.keys: (not shown): must be a list of 1 to 8 different keys, each 32 bytes in base64`
		ring = `params.keys: (not shown): must be 1 to 8 different keys of 32 bytes, or be left out `
		exc  = `must be true, false, "True", "true", "False" or "false"`
	)
	tests := []struct{ data, want string }{
		{"", `line 1, column 1: not JSON: unexpected end of JSON input`},
		{"{\n  \"name\": \"a\",\n}",
			`line 3, column 1: not JSON: invalid character '}' looking for beginning of object key string`},
		{`{} {}`, `line 1, column 4: not JSON: invalid character '{' after top-level value`},
		{`[]`, `the whole file: (not shown): must be an object`},
		{`null`, `the whole file: (not shown): must be an object`},
		{`{"params": 5}`, `params: (not shown): must be an object`},
		{`{"params": null}`, `params: (not shown): must be an object`},
		{`{"params": {"threadPool": [1, 2]}}`, `params.threadPool: [1,2]: must be an object`},
		{`{"params": {"heartbeat": "fast"}}`, `params.heartbeat: "fast": must be an object`},
		{`{"name": "a", "name": "a"}`, `name: given twice: must stand once`},
		{`{"params": {"x": [{"y": 1, "y": 2}]}}`, `params.x.y: given twice: must stand once`},

		{`{"name": null}`, `name: null: must be a string`},
		{`{"name": "a\nb"}`, `name: "a\nb": must be at most 200 bytes of UTF-8 without control characters`},
		{`{"app": ["s3cret"]}`, `app: (not shown): must be an object: the section of the application itself`},
		{`{"app": null}`, `app: (not shown): must be an object: the section of the application itself`},
		{`{"app": {"a": 1, "a": 1}}`, `app.a: given twice: must stand once`},
		{`{"version": 1.0}`, `version: 1.0: must be a string`},
		{`{"logLevel": 5}`, `logLevel: 5: must be a string: debug, info, warn, error or off`},

		{`{"params": {"rpcPort": 65536}}`, `params.rpcPort: 65536: ` + port},
		{`{"params": {"rpcPort": -1}}`, `params.rpcPort: -1: ` + port},
		{`{"params": {"rpcPort": 1.5}}`, `params.rpcPort: 1.5: ` + port},
		{`{"params": {"rpcPort": ""}}`, `params.rpcPort: "": ` + port},
		{`{"params": {"rpcPort": "http"}}`, `params.rpcPort: "http": ` + port},
		{`{"params": {"rpcPort": null}}`, `params.rpcPort: null: ` + port},
		{`{"params": {"rpcIp": "localhost"}}`, `params.rpcIp: "localhost": ` + ip},
		{`{"params": {"rpcIp": 127}}`, `params.rpcIp: 127: ` + ip},
		{`{"params": {"rpcIp": "fe80::1%eth0"}}`, `params.rpcIp: "fe80::1%eth0": ` + ip},
		{`{"params": {"rpcIp": "224.0.0.1"}}`, `params.rpcIp: "224.0.0.1": ` + ip},
		{`{"params": {"rpcIp": "0.0.0.0", "rpcPort": 80}}`,
			`params.rpcIp: "0.0.0.0": nobody can send to it: needs an advertise address beside it, or a seed that ` +
				`says where it sees the node`},
		{`{"params": {"advertise": "0.0.0.0:80"}}`, `params.advertise: "0.0.0.0:80": ` + advertiseForm},
		{`{"params": {"clusterAddress": "127.0.0.1:18080"}}`,
			`params.clusterAddress: "127.0.0.1:18080": must be a list of strings`},
		{`{"params": {"clusterAddress": ["a:1", null]}}`,
			`params.clusterAddress: ["a:1",null]: must be a list of strings`},
		{`{"params": {"clusterAddress": ["a:1", "b"]}}`, `params.clusterAddress[1]: "b": ` + seedForm},

		{`{"params": {"rpcTimeOut": 0}}`, `params.rpcTimeOut: 0: ` + time},
		{`{"params": {"rpcTimeOut": "6"}}`, `params.rpcTimeOut: "6": ` + time},
		{`{"params": {"rpcTimeOut": 1e400}}`, `params.rpcTimeOut: 1e400: ` + time},
		{`{"params": {"udpTimeOut": -3}}`, `params.udpTimeOut: -3: must be from 1ms to 8760h0m0s`},
		{`{"params": {"udpTimeOut": true}}`, `params.udpTimeOut: true: ` + time},
		{`{"params": {"heartbeat": {"tick": 2}}}`, `params.heartbeat.tick: 2: must be from 1ms to 1s`},

		{`{"params": {"threadPool": {"core": "three"}}}`, `params.threadPool.core: "three": ` + pool},
		{`{"params": {"threadPool": {"core": "3"}}}`, `params.threadPool.core: "3": ` + pool},
		{`{"params": {"threadPool": {"core": 3.0}}}`, `params.threadPool.core: 3.0: ` + pool},
		{`{"params": {"threadPool": {"core": 0}}}`, `params.threadPool.core: 0: ` + pool},
		{`{"params": {"threadPool": {"core": -3}}}`, `params.threadPool.core: -3: must be from 1 to 1048576`},
		{`{"params": {"threadPool": {"core": 99999999999999999999}}}`,
			`params.threadPool.core: 99999999999999999999: ` + pool},
		{`{"params": {"threadPool": {"core": 3, "threadMax": 2}}}`,
			`params.threadPool.threadMax: 2: must not be less than the 3 that stay`},
		{`{"params": {"threadPool": {"isExcInfo": "TRUE"}}}`, `params.threadPool.isExcInfo: "TRUE": ` + exc},
		{`{"params": {"guest": true}}`, `params.guest: true: needs Join (params.clusterAddress): ` +
			`a guest asks a member where functions are`},
		{`{"params": {"guest": "true"}}`, `params.guest: "true": must be true or false`},
		{`{"params": {"threadPool": {"isExcInfo": 0}}}`, `params.threadPool.isExcInfo: 0: ` + exc},
		{`{"params": {"threadPool": {"isExcInfo": ""}}}`, `params.threadPool.isExcInfo: "": ` + exc},

		{`{"params": {"keys": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}`, keys},
		{`{"params": {"keys": null}}`, keys},
		{`{"params": {"keys": {}}}`, keys},
		{`{"params": {"keys": ["not base64"]}}`, keys},
		{`{"params": {"keys": []}}`, ring + `(0 keys, must be 1 to 8)`},
		{`{"params": {"keys": [null]}}`, ring + `(key 1 has 0 bytes, must have 32)`},
		{`{"params": {"keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="]}}`, ring +
			`(key 1 has 31 bytes, must have 32)`},
		{`{"params": {"keys": ["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"]}}`,
			ring + `(key 1 has 48 bytes, must have 32)`}, // hexadecimal is base64, too
		{`{"params": {"keys": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}}`,
			ring + `(key 1 is one byte again and again; make one with: openssl rand -base64 32)`},
		{`{"params": {"maxPacket": 100}}`, `params.maxPacket: 100: must be from 1200 to 21829`},
		{`{"params": {"tags": {"zone": 5}}}`, `params.tags: {"zone":5}: must be an object of strings`},
		{`{"params": {"tags": {"zone": null}}}`, `params.tags: {"zone":null}: must be an object of strings`},
		{`{"params": {"tags": {"zone": "\u0000"}}}`,
			`params.tags.zone: "\x00": must be at most 255 bytes of UTF-8 without control characters`},
		{`{"params": {"tags": {"": "a"}}}`,
			`params.tags: key "": must not be empty, and must be at most 255 bytes of UTF-8 without control ` +
				`characters`},
	}
	for _, tt := range tests {
		got, err := parseConfig("bad.json", []byte(tt.data))
		require.EqualError(t, err, "broach: bad.json: "+tt.want, tt.data)
		require.Equal(t, Config{}, got, tt.data)
	}
}

func TestAllMistakesOfAFileComeAtOnce(t *testing.T) {
	_, err := parseConfig("bad.json", []byte(`{
		"name": 5, "name": 6,
		"params": {
			"rpcPort": 70000, "rpcIp": "here", "clusterAddress": ["a"],
			"threadPool": {"core": -1, "isExcInfo": "Flase"},
			"heartbeat": 30, "keys": ["c2VjcmV0"]
		}
	}`))
	require.EqualError(t, err, strings.Join([]string{
		`broach: bad.json: name: given twice: must stand once`,
		`broach: bad.json: params.heartbeat: 30: must be an object`,
		`broach: bad.json: name: 6: must be a string`,
		`broach: bad.json: params.rpcPort: 70000: must be a whole number from 0 to 65535`,
		`broach: bad.json: params.rpcIp: "here": must be an IP address such as "192.0.2.7" or "2001:db8::7", ` +
			`without a zone, not multicast`,
		`broach: bad.json: params.threadPool.isExcInfo: "Flase": must be true, false, "True", "true", "False" or ` +
			`"false"`,
		`broach: bad.json: params.keys: (not shown): must be 1 to 8 different keys of 32 bytes, or be left out ` +
			`(key 1 has 6 bytes, must have 32)`,
		`broach: bad.json: params.clusterAddress[0]: "a": ` + seedForm,
		`broach: bad.json: params.threadPool.core: -1: must be from 1 to 1048576`,
	}, "\n"))
}

func TestWhatCanBeOverlookedIsAWarning(t *testing.T) {
	got, err := parseConfig("odd.json", []byte(`{
		"logLevel": "verbose", "database": {"keys": ["c2VjcmV0"]}, "": 1,
		"params": {"port": 9, "threadPool": {"comment": 5}}
	}`))
	require.NoError(t, err)
	require.Equal(t, Config{
		LogLevel: "info",
		warnings: []string{
			`odd.json: "": unknown key, ignored`,
			`odd.json: database: unknown key, ignored`,
			`odd.json: params.port: unknown key, ignored`,
			`odd.json: params.threadPool.comment: unknown key, ignored`,
			`odd.json: logLevel: "verbose": must be debug, info, warn, error or off; info is used`,
		},
	}, got)
}

// "A node must not start without what its operator believes to have said."
func TestAKeyThatResemblesAKnownOneIsRefused(t *testing.T) {
	_, err := parseConfig("typo.json", []byte(`{
		"rpcIp": "10.0.0.1", "parms": {"keys": ["c2VjcmV0"]},
		"params": {"kyes": ["c2VjcmV0"], "rpcTimeout": 9, "threadPool": {"queuemax": 5}, "Keys": {"core": "c2VjcmV0"}}
	}`))
	require.EqualError(t, err, strings.Join([]string{
		`broach: typo.json: params.Keys: unknown key: the nearest known key is params.keys`,
		`broach: typo.json: params.kyes: unknown key: the nearest known key is params.keys`,
		`broach: typo.json: params.rpcTimeout: unknown key: the nearest known key is params.rpcTimeOut`,
		`broach: typo.json: params.threadPool.queuemax: unknown key: the nearest known key is ` +
			`params.threadPool.queueMax`,
		`broach: typo.json: parms: unknown key: the nearest known key is params`,
		`broach: typo.json: rpcIp: unknown key: the nearest known key is params.rpcIp`,
	}, "\n"))
}

// "The application's own section stands in the same file."
func TestSectionOfTheApplication(t *testing.T) {
	text := "\xef\xbb\xbf{\r\n" + `"app": {"Port": 7, "Keys": ["` + someKey(1) + `"]}` + "\r\n}"
	cfg, err := parseConfig("shop.json", []byte(text))
	require.NoError(t, err)
	require.Empty(t, cfg.warnings)
	var app struct {
		Port int
		Keys []string
	}
	require.NoError(t, cfg.App(&app))
	require.Equal(t, 7, app.Port)
	require.Equal(t, []string{someKey(1)}, app.Keys)
	require.EqualError(t, cfg.App(&struct{ Prot int }{}), strings.Join([]string{
		"broach: shop.json: app.Keys: unknown key: the nearest known key is app.Prot",
		"broach: shop.json: app.Port: unknown key: the nearest known key is app.Prot",
	}, "\n"))
	require.ErrorContains(t, cfg.App(app), "broach: shop.json: app: json: Unmarshal(non-pointer ")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), someKey(1))
}

func TestNoSectionOfTheApplicationIsAnEmptyOne(t *testing.T) {
	for _, text := range []string{`{}`, `{"app": {}}`} {
		cfg, err := parseConfig("shop.json", []byte(text))
		require.NoError(t, err)
		app := struct{ Port int }{Port: 80}
		require.NoError(t, cfg.App(&app))
		require.Equal(t, 80, app.Port, text)
		require.Error(t, cfg.App(app), text)
	}
}

func TestAnotherNameForParamsIsRefused(t *testing.T) {
	for _, name := range []string{"parmas", "param", "Params", "parameters"} {
		require.Equal(t, "params", meantFor(t, "", name), name)
	}
	require.Equal(t, "app", meantFor(t, "", "apps"))
}

func TestFileThatIsTooLarge(t *testing.T) {
	fits := []byte(`{}` + strings.Repeat(" ", maxConfigFile-2))
	path := filepath.Join(t.TempDir(), "large.json")
	require.NoError(t, os.WriteFile(path, fits, 0o600))
	_, err := LoadConfig(path)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(path, append(fits, ' '), 0o600))
	_, err = LoadConfig(path)
	require.EqualError(t, err, "broach: "+path+": larger than 1048576 bytes")
}

func TestFileThatCannotBeRead(t *testing.T) {
	_, err := LoadConfig(filepath.Join(t.TempDir(), "missing.json"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "missing.json")
	_, err = LoadConfig(t.TempDir())
	require.Error(t, err)
}

func FuzzLoadConfig(f *testing.F) {
	sample, err := os.ReadFile(filepath.Join("testdata", "application1.json"))
	require.NoError(f, err)
	f.Add(sample)
	f.Add([]byte(`{"params": {"tags": {"a": "b"}, "heartbeat": {"tick": "1s"}, "keys": [], "advertise": "[::1]:7"}, ` +
		`"x": [null]}`))
	f.Add([]byte(`{"logLevel": "x", "params": {"rpcPort": "007", "threadPool": {"core": 1e1, "isExcInfo": true}, ` +
		`"x": 1, "x": 2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseConfig("fuzz.json", data)
		again, errAgain := parseConfig("fuzz.json", data)
		require.Equal(t, got, again)
		require.Equal(t, err, errAgain)
		if err == nil {
			require.NoError(t, got.validate())
			return
		}
		for line := range strings.Lines(err.Error()) {
			require.True(t, strings.HasPrefix(line, "broach: fuzz.json: "), line)
		}
	})
}

// "Variables of the environment stand in place of what the file says, if they are not empty"
func TestTheEnvironmentStandsForTheFile(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("# ours\n"+someKey(1)+"\r\n"), 0o600))
	const file = `{"name": "a", "params": {"rpcPort": 7, "clusterAddress": ["old:1"], "cluster": "c"}}`
	got, err := parseConfig("f.json", []byte(file), "BROACH_NAME=b", "BROACH_ADDR=10.0.0.1:8", "BROACH_CLUSTER=",
		"BROACH_SEEDS=one:1, two:2", "BROACH_LOG_LEVEL=WARN", "BROACH_ADVERTISE=10.0.0.2:9", "BROACH_KEYS_FILE="+keys,
		"BROACH_SERVICE_HOST=10.96.0.1", "PATH=/bin", "BROACH_SED=")
	require.NoError(t, err)
	require.Equal(t, []string{"BROACH_NAME", "BROACH_LOG_LEVEL", "BROACH_ADDR", "BROACH_ADVERTISE", "BROACH_SEEDS",
		"BROACH_KEYS_FILE"}, got.overridden)
	require.Len(t, got.warnings, 1)
	require.Contains(t, got.warnings[0], "BROACH_SERVICE_HOST: unknown variable: the nearest known one is BROACH_")
	require.Len(t, got.Keys, 1)
	got.overridden, got.warnings, got.Keys = nil, nil, nil
	require.Equal(t, Config{Name: "b", Cluster: "c", LogLevel: "WARN", Addr: "10.0.0.1:8", Advertise: "10.0.0.2:9",
		Join: []string{"one:1", "two:2"}}, got)
}

// "An empty path stands for no file: the environment alone says how the node runs."
func TestTheEnvironmentAlone(t *testing.T) {
	for _, v := range envVars {
		t.Setenv(v.name, "") // what is around this test
		require.NoError(t, os.Unsetenv(v.name))
	}
	got, err := LoadConfig("")
	require.NoError(t, err)
	require.Equal(t, Config{}, got)

	t.Setenv("BROACH_NAME", "lone")
	got, err = LoadConfig("")
	require.NoError(t, err)
	require.Equal(t, Config{Name: "lone", overridden: []string{"BROACH_NAME"}}, got)

	t.Setenv("BROACH_SEEDS", "10.0.0.7:7000")
	got, err = LoadConfig("")
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:0", got.Addr, "seeds may be anywhere")

	t.Setenv("BROACH_ADDR", "10.0.0.8:7000")
	got, err = LoadConfig("")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.8:7000", got.Addr)
	require.NoError(t, got.App(&struct{ Shelves int }{}), "it has no section of the application's own")

	t.Setenv("BROACH_ADDR", "127.0.0.1:7000")
	_, err = LoadConfig("")
	require.EqualError(t, err, `broach: BROACH_SEEDS[0]: "10.0.0.7:7000": cannot be reached from 127.0.0.1: `+
		"set Addr, and Advertise where it differs")
}

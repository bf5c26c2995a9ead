package broach

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// [VIEW-3] Keys, tokens, arguments, metadata and addresses of guests MUST NOT be in a view, nor what a configuration
// says to the application alone.
func TestAViewHasNoSecrets(t *testing.T) {
	const argument, metadata, appSecret = "argument 4711", "metadata 4712", "application 4713"
	keys, misplaced := [][]byte{keyOf(1), keyOf(2)}, base64.StdEncoding.EncodeToString(keyOf(3))
	text, err := json.Marshal(map[string]any{
		"name": misplaced, "app": map[string]string{"password": appSecret}, "params": map[string]any{"keys": keys},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "shop.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	loaded, err := LoadConfig(path)
	require.NoError(t, err)
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.Keys, cfg.app, cfg.Version = loaded.Keys, loaded.app, misplaced }
		provider, caller := c.start(0), c.start(1, 0)
		got := make(chan string, 1)
		offer(c, provider, caller, "f", func(ctx context.Context, s string) string {
			in, _ := InvocationFrom(ctx)
			got <- in.Meta()["m"]
			return s
		})
		_, err := caller.Caller("f", Meta("m", metadata)).Call(c.t.Context(), argument)
		require.NoError(t, err)
		require.Equal(t, metadata, <-got)
		v, err := caller.Inspect(c.t.Context(), provider.Addr())
		require.NoError(t, err)
		require.NotEmpty(t, v.Settings)
		v.Version = "" // which every member sees
		for i := range v.Members {
			v.Members[i].Version = ""
		}
		b := append(encodeView(t, v), fmt.Sprint(v)...)
		secrets := [][]byte{[]byte(argument), []byte(metadata), []byte(appSecret), []byte(misplaced)}
		for _, key := range append(keys, keyOf(3)) {
			secrets = append(secrets, key, fmt.Appendf(nil, "%x", key),
				[]byte(base64.StdEncoding.EncodeToString(key)), []byte(base64.RawURLEncoding.EncodeToString(key)))
		}
		for _, l := range provider.linking.tokens.All() {
			secrets = append(secrets, fmt.Append(nil, l.Token))
		}
		for i, secret := range secrets {
			require.False(t, bytes.Contains(b, secret), "secret %d", i)
		}
	})
}

// Who has no key is no member, and gets nothing: neither to be asked nor an answer.
func TestStrangersDoNotInspect(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.Keys = [][]byte{keyOf(1)} }
		provider := c.start(0)
		c.edit = func(*Config) {}
		stranger := c.start(1, 0)
		time.Sleep(5 * time.Second)
		_, err := stranger.Inspect(c.t.Context(), provider.Addr())
		requireError(t, err, NotFound, No)
		_, err = provider.Inspect(c.t.Context(), stranger.Addr())
		requireError(t, err, NotFound, No)
		require.Empty(t, provider.serving.views.asked.count)
	})
}

// [VIEW-2] A node that keeps its views to itself answers Unauthenticated, executed no.
func TestASilentNode(t *testing.T) {
	cfg, err := parseConfig("test", []byte(`{"params": {"silent": true}}`))
	require.NoError(t, err)
	require.True(t, cfg.Silent)
	_, err = parseConfig("test", []byte(`{"params": {"silent": "yes"}}`))
	require.EqualError(t, err, `broach: test: params.silent: "yes": must be true or false`)
	shown, err := json.Marshal(Config{Silent: true})
	require.NoError(t, err)
	require.Contains(t, string(shown), `"Silent":true`)

	inCluster(t, 1, func(c *cluster) {
		c.edit = func(x *Config) { x.Silent = cfg.Silent }
		silent := c.start(0)
		c.edit = func(*Config) {}
		caller := c.start(1, 0)
		c.settle(10 * time.Second)
		for range 100 {
			_, err := caller.Inspect(c.t.Context(), silent.Addr(), ViewStats)
			requireError(t, err, Unauthenticated, No)
		}
		v, err := silent.Inspect(c.t.Context(), silent.Addr())
		require.NoError(t, err, "it may look at itself")
		require.Len(t, v.Members, 2)
		_, err = silent.Inspect(c.t.Context(), caller.Addr())
		require.NoError(t, err, "and at others")
	})
}

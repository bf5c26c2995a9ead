package troubles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// faces are the ways in which fmt can print the beginning of a key, or a program may encode it.
func faces(key []byte) []string {
	begin := key[:6]
	list := strings.Trim(fmt.Sprint(begin), "[]")
	return []string{
		string(begin), strings.Trim(fmt.Sprintf("%q", begin), `"`), strings.Trim(fmt.Sprintf("%+q", begin), `"`),
		fmt.Sprintf("%x", begin), fmt.Sprintf("%X", begin), fmt.Sprintf("% x", begin), fmt.Sprintf("% X", begin),
		fmt.Sprintf("%# x", begin), list, strings.ReplaceAll(list, " ", ","), strings.ReplaceAll(list, " ", ", "),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", begin), "[]byte{"), "}"),
		strings.Trim(fmt.Sprintf("%o", begin), "[]"), strings.Trim(fmt.Sprintf("%b", begin), "[]"),
		strings.Trim(fmt.Sprintf("%U", begin), "[]"), strings.Trim(fmt.Sprintf("%c", begin), "[]"),
		base64.StdEncoding.EncodeToString(begin), base64.URLEncoding.EncodeToString(begin),
	}
}

var verbs = strings.Fields("%v %+v %#v %s %q %x %X %d %t %b %o %O %c %U %e %g %G %+d %#x %#q %#d %30v %-30s %.3v %+q")

// shownAs returns all that fmt, slog and JSON make of a value.
func shownAs(t *testing.T, v any) (outputs []string) {
	for _, verb := range verbs {
		outputs = append(outputs, fmt.Sprintf(verb, v))
	}
	var log bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, options), slog.NewJSONHandler(&log, options)} {
		slog.New(h).Info("m", slog.Any("v", v), slog.Group("g", slog.Any("v", v)))
	}
	encoded, err := json.Marshal(v)
	require.NoError(t, err)
	return append(outputs, log.String(), string(encoded))
}

// everything is a running node with keys, and one of each that it makes.
func everything(t *testing.T, c *clustertest.Cluster, keys [][]byte) (
	cfg broach.Config, n *broach.Node, caller *broach.Caller, timer *broach.Timer, sub *broach.Subscription,
) {
	c.Edit = func(cfg *broach.Config) { cfg.Keys, cfg.Name, cfg.Cluster = keys, "shop", "blue" }
	n = c.Start(0)
	timer, err := n.Every(time.Second, func() {}, broach.OneOwner("bill"))
	require.NoError(t, err)
	sub, err = n.Subscribe("orders", func(string) {})
	require.NoError(t, err)
	return c.Configs[n], n, n.Caller("add", broach.Key("customer")), timer, sub
}

func TestNothingThatIsPrintedContainsAKey(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		first, second := sha256.Sum256([]byte("first")), sha256.Sum256([]byte("second"))
		cfg, n, caller, timer, sub := everything(t, c, [][]byte{first[:], second[:]})
		require.NoError(t, n.SetKeys([][]byte{second[:], first[:]}))
		_, _ = caller.Call(context.Background())
		cfg.Conn = nil // a simulated network has maps that JSON cannot hold
		pointers := []any{n, &cfg, caller, timer, sub}
		values := []any{cfg, struct {
			Node   *broach.Node
			Config broach.Config
			C      *broach.Config
			List   []broach.Config
			Map    map[string]any
		}{n, cfg, &cfg, []broach.Config{cfg}, map[string]any{"node": n, "config": cfg}}}
		_ = n.Close()
		for _, p := range pointers { // as *p, which go vet does not let a program copy
			values = append(values, reflect.ValueOf(p).Elem().Interface(), []any{p}, struct{ Any any }{p})
		}
		for _, v := range append(values, pointers...) {
			for _, out := range shownAs(t, v) {
				for _, key := range cfg.Keys {
					for _, face := range faces(key) {
						require.NotContains(t, out, face, "%T", v)
					}
				}
			}
		}
	})
}

// The test above could not fail if it did not know what a key looks like.
func TestEveryFaceOfAKeyIsKnown(t *testing.T) {
	key := sha256.Sum256([]byte("key"))
	type fields broach.Config // without its methods
	cfg := broach.Config{Keys: [][]byte{key[:]}}
	for _, v := range []any{fields(cfg), key[:], string(key[:]), struct{ cfg broach.Config }{cfg}} {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d") {
			out, found := fmt.Sprintf(verb, v), false
			for _, face := range faces(key[:]) {
				found = found || strings.Contains(out, face)
			}
			_, isText := v.(string)
			require.True(t, found || isText && verb == "%d", "%s of %T: %s", verb, v, out)
		}
	}
}

func TestWhatIsPrinted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		cfg, n, caller, timer, sub := everything(t, c, [][]byte{clustertest.KeyOf(1), clustertest.KeyOf(2)})
		texts := []struct {
			v    any
			want string
		}{
			{n, `broach.Node{addr:10.0.0.1:7000 name:"shop" cluster:"blue" keys:2}`},
			{cfg, `broach.Config{addr:"10.0.0.1:7000" name:"shop" cluster:"blue" keys:2}`},
			{&cfg, `broach.Config{addr:"10.0.0.1:7000" name:"shop" cluster:"blue" keys:2}`},
			{broach.Config{}, `broach.Config{addr:"127.0.0.1:0" name:"" cluster:"default" keys:0}`},
			{caller, `broach.Caller{service:"add" node:10.0.0.1:7000}`},
			{timer, `broach.Timer{name:"bill" every:1s node:10.0.0.1:7000}`},
			{sub, `broach.Subscription{topic:"orders" node:10.0.0.1:7000}`},
			{new(broach.Node), `broach.Node{addr:invalid AddrPort name:"" cluster:"default" keys:0}`},
			{new(broach.Caller), `broach.Caller{service:"" node:invalid AddrPort}`},
			{new(broach.Timer), `broach.Timer{name:"" every:0s node:invalid AddrPort}`},
			{new(broach.Subscription), `broach.Subscription{topic:"" node:invalid AddrPort}`},
			{(*broach.Node)(nil), "<nil>"}, {(*broach.Config)(nil), "<nil>"}, {(*broach.Caller)(nil), "<nil>"},
			{(*broach.Timer)(nil), "<nil>"}, {(*broach.Subscription)(nil), "<nil>"},
		}
		for _, text := range texts {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
				require.Equal(t, text.want, fmt.Sprintf(verb, text.v), "%s of %T", verb, text.v)
			}
		}
		require.Equal(t, `"<nil>"`, fmt.Sprintf("%q", (*broach.Node)(nil)))
		require.Equal(t, "     <nil>", fmt.Sprintf("%10v", (*broach.Node)(nil)))
		for _, none := range []fmt.Stringer{
			(*broach.Node)(nil), (*broach.Caller)(nil), (*broach.Timer)(nil), (*broach.Subscription)(nil),
		} {
			require.Equal(t, "<nil>", none.String())
		}
	})
}

func TestWhatIsLogged(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		cfg, n, caller, timer, sub := everything(t, c, [][]byte{clustertest.KeyOf(1)})
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).
			Info("m", "node", n, "config", cfg, "caller", caller, "timer", timer, "sub", sub,
				"none", (*broach.Node)(nil))
		_, attrs, _ := strings.Cut(log.String(), `"msg":"m",`)
		require.JSONEq(t, `{
			"node": {"addr": "10.0.0.1:7000", "name": "shop", "cluster": "blue", "keys": 1},
			"config": {"addr": "10.0.0.1:7000", "name": "shop", "cluster": "blue", "keys": 1},
			"caller": {"service": "add", "node": "10.0.0.1:7000"},
			"timer": {"name": "bill", "every": 1000000000, "node": "10.0.0.1:7000"},
			"sub": {"topic": "orders", "node": "10.0.0.1:7000"},
			"none": null
		}`, "{"+attrs)
	})
}

// "Reading it back is an error, not a Config without keys."
func TestAConfigFromItsJSONHasNoOtherKeys(t *testing.T) {
	for _, keys := range [][][]byte{nil, {}, {clustertest.KeyOf(1)}, {clustertest.KeyOf(1), clustertest.KeyOf(2)}} {
		cfg := broach.Config{Name: "shop", CallTimeout: time.Second, Keys: keys}
		data, err := json.Marshal(struct{ C broach.Config }{cfg})
		require.NoError(t, err)
		require.Equal(t, len(keys), strings.Count(string(data), "(not shown)"))
		var back struct{ C broach.Config }
		err = json.Unmarshal(data, &back)
		require.Equal(t, len(keys) == 0, err == nil, "%v", err)
		require.Equal(t, "shop", back.C.Name)
		require.Equal(t, time.Second, back.C.CallTimeout)
		require.Equal(t, keys == nil, err == nil && back.C.Keys == nil, "%s", data)
	}
}

// What no text can have does not keep the rest from being shown.
func TestAConfigWithFunctionsIsShownAsJSON(t *testing.T) {
	list := []broach.Interceptor{func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		return next(ctx, call)
	}}
	cfg := broach.Config{Name: "shop", CallInterceptors: list, ServeInterceptors: list, Logger: slog.Default()}
	b, err := json.Marshal(cfg)
	require.NoError(t, err)
	require.Contains(t, string(b), `"shop"`)
	require.NotContains(t, string(b), "Interceptors")
}

package gateway

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
)

// A text is JSON here only if it is JSON for the standard library, and then it means the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`null`, `[1, -0, 1e3, 0.1, "a\u00e9\ud83d\ude00", {"a": {}}]`, `{"a":1,"a":2}`, `01`,
		`"\ud800"`, `1e400`, `1e20`, `-1e19`, `[1,]`, strings.Repeat("[", 70)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseJSON(text, nil)
		if err != nil {
			return
		}
		require.True(t, json.Valid([]byte(text)), "%q", text)
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var want any
		require.NoError(t, d.Decode(&want))
		require.Equal(t, want, asStandard(v), "%q", text)
		if v, err = natural(v); err != nil {
			return
		}
		requireSame(t, v, nil)
	})
}

func asStandard(v any) any {
	switch v := v.(type) {
	case number:
		return json.Number(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = asStandard(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[key] = asStandard(v[key])
		}
		return m
	}
	return v
}

// requireSame writes a value, reads it, and finds it again: JSON to values and back is the identity.
func requireSame(t *testing.T, v any, typ *broach.Type) {
	for _, texts := range []bool{false, typ != nil} { // without a type a text is a text
		b, err := (&writer{texts: texts}).append(nil, v, typ)
		require.NoError(t, err)
		require.True(t, json.Valid(b), "%s", b)
		parsed, err := parseJSON(string(b), nil)
		require.NoError(t, err)
		got, err := types{}.read(parsed, typ)
		require.NoError(t, err, "%s", b)
		if typ == nil {
			again, err := (&writer{}).append(nil, got, nil)
			require.NoError(t, err)
			require.Equal(t, string(b), string(again))
			continue
		}
		require.True(t, reflect.DeepEqual(v, got), "%s: %#v, %#v", b, v, got)
	}
}

// Values of all kinds of scalars come back as they were.
func FuzzValues(f *testing.F) {
	f.Add(int64(0), uint64(0), 0.0, "", []byte{}, int64(0), int64(0))
	f.Add(int64(math.MinInt64), uint64(math.MaxUint64), math.Inf(-1), "\x00\"\\é😀", []byte{255}, int64(math.MaxInt64),
		int64(-1))
	f.Fuzz(func(t *testing.T, i int64, u uint64, x float64, s string, b []byte, d, sec int64) {
		kind := func(k string) *broach.Type { return &broach.Type{Kind: k} }
		requireSame(t, i, kind("int64"))
		requireSame(t, u, kind("uint64"))
		if !math.IsNaN(x) {
			requireSame(t, x, kind("float64"))
			requireSame(t, float32(x), kind("float32"))
		}
		if b != nil {
			requireSame(t, b, kind("bytes"))
		}
		if s = strings.ToValidUTF8(s, ""); s != "" {
			requireSame(t, s, kind("string"))
			requireSame(t, map[string]any{s: []any{i}}, &broach.Type{Kind: "map", Key: kind("string"),
				Elem: &broach.Type{Kind: "slice", Elem: kind("int64")}})
		}
		requireSame(t, time.Duration(d), kind("duration"))
		requireSame(t, time.Unix(sec&(1<<37-1), d&(1<<29-1)).UTC(), kind("time"))
	})
}

// An exact integer is read whatever its notation.
func TestExactInt(t *testing.T) {
	for text, want := range map[string]string{"1e3": "1000", "1.50e1": "15", "100e-2": "1", "0e999999999999": "0",
		"-0.0": "0", "0.1": "", "1e-1": "", "18446744073709551615": "18446744073709551615", "18446744073709551616": "",
		"1e19": "10000000000000000000", "2e19": "", "1e20": "", "0.00001e5": "1", "-1.0": "-1"} {
		isNegative, magnitude, ok := exactInt(text)
		got := ""
		if ok {
			b, _ := json.Marshal(magnitude)
			if got = string(b); isNegative {
				got = "-" + got
			}
		}
		require.Equal(t, want, got, text)
	}
}

package broach

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// configFields returns the names of the exported fields of a struct of the configuration, those of inner structs with a dot.
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
	for _, name := range []string{"Logger", "Conn", "RandSeed", "CallInterceptors", "ServeInterceptors"} { // no text names a logger, a socket or a function; replaying is for tests
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
		object, _ := splitKey(key.path)
		parent, ok := findKey(object)
		require.Equal(t, object != "", ok, key.path)
		require.Nil(t, parent.set, key.path)
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

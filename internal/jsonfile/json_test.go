package jsonfile

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckJSONSaysWhere(t *testing.T) {
	tests := []struct{ data, want string }{
		{"", "line 1, column 1: not JSON: unexpected end of JSON input"},
		{" \n", "line 1, column 2: not JSON: unexpected end of JSON input"},
		{"{\n  \"名\": x}", "line 2, column 8: not JSON: invalid character 'x' looking for beginning of value"},
		{"{\"a\": 1,}", "line 1, column 9: not JSON: invalid character '}' looking for beginning of object key string"},
		{"{} {}", "line 1, column 4: not JSON: invalid character '{' after top-level value"},
		{"{}\n\nx", "line 3, column 1: not JSON: invalid character 'x' after top-level value"},
		{"{\n// why\n}",
			"line 2, column 1: not JSON: invalid character '/' looking for beginning of object key string"},
		{"{\"a\": 010}", "line 1, column 8: not JSON: invalid character '1' after object key:value pair"},
		{"{\"a\": NaN}", "line 1, column 7: not JSON: invalid character 'N' looking for beginning of value"},
		{"{\"名\": \"\xff\"}", "line 1, column 8: not UTF-8"},
		{"\xff\xfe{\x00}\x00", "line 1, column 1: not UTF-8"},
		{strings.Repeat("[", 10_001), "line 1, column 10001: not JSON: invalid character '[' exceeded max depth"},
	}
	for _, tt := range tests {
		require.EqualError(t, check([]byte(tt.data)), tt.want)
	}
	for _, good := range []string{
		"{}", " [1] \n", "\"\uFFFD\"", "1e400", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
	} {
		require.NoError(t, check([]byte(good)))
	}
}

func TestDuplicateKeysAreFoundEverywhere(t *testing.T) {
	tests := []struct {
		data string
		want []string
	}{
		{`{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}`, nil},
		{`{"a": 1, "A": 2}`, nil},
		{`{"a": 1, "a": 1}`, []string{"a"}},
		{`{"a": 1, "\u0061": 2, "a": 3}`, []string{"a"}},
		{`{"a": {"b": 1e400, "b": [], "c": {}}, "a": {"c": 1, "c": 2}}`, []string{"a.b", "a", "a.c"}},
		{`[[{"x": [{"y": null, "y": true}]}]]`, []string{"x.y"}},
		{`{"a.b": 1, "a": {"b": 1}}`, nil},
		{`{"a.b": 1, "a.b": 1, "": 1, "": 1}`, []string{`"a.b"`, `""`}},
		{`1`, nil},
	}
	for _, tt := range tests {
		require.NoError(t, check([]byte(tt.data)))
		require.Equal(t, tt.want, new(Schema).duplicateKeys([]byte(tt.data)), tt.data)
	}
}

// "A long path is cut at each step, so that deep nesting costs no more than its own bytes."
func TestDeepNestingHasAShortPath(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 9_999) + `{"b": 1, "b": 2}` + strings.Repeat("}", 9_999)
	require.NoError(t, check([]byte(deep)))
	found := new(Schema).duplicateKeys([]byte(deep))
	require.Len(t, found, 1)
	require.Less(t, len(found[0]), 100)
}

func TestJoinKeyCannotBeForged(t *testing.T) {
	tests := []struct{ path, key, want string }{
		{"", "name", "name"},
		{"params", "rpcIp", "params.rpcIp"},
		{"", "params.rpcIp", `"params.rpcIp"`},
		{"params", "", `params.""`},
		{"params", "\x1b[2J", `params."\x1b[2J"`},
		{"params", "端口", "params.端口"},
		{"params", `a"b`, `params."a\"b"`},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, new(Schema).join(tt.path, tt.key))
	}
}

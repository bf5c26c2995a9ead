package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broach/gateway"
)

// What becomes of values, from JSON to the function and back. Each function returns its argument.
func TestValues(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	for _, c := range []struct{ function, body, want string }{
		{"add", `[1, 2]`, `3`},
		{"add", ` [ 1e3 , -1.0 ] `, `999`},
		{"add", `["3", "4"]`, `7`},
		{"none", ``, `null`},
		{"none", `[]`, `null`},
		{"int8", `-128`, `-128`},
		{"uint64", `18446744073709551615`, `18446744073709551615`},
		{"uint64", `"18446744073709551615"`, `18446744073709551615`},
		{"uint64", `1.8446744073709551615e19`, `18446744073709551615`},
		{"float", `0.1`, `0.1`},
		{"float", `1e21`, `1e+21`},
		{"any", `[[1e20, -1e19, 1e18]]`, `[1e+20,-1e+19,1000000000000000000]`},
		{"float", `"NaN"`, `"NaN"`},
		{"float", `"-Infinity"`, `"-Infinity"`},
		{"float", `"2.5"`, `2.5`},
		{"float32", `0.1`, `0.1`},
		{"float32", `"Infinity"`, `"Infinity"`},
		{"bool", `true`, `true`},
		{"text", `"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, `"a\"\\/\u0008\u000c\n\u000d\té😀"`},
		{"text", `["in a list"]`, `"in a list"`},
		{"bytes", `"aGk="`, `"aGk="`},
		{"bytes", `"aGk"`, `"aGk="`},
		{"bytes", `"-_8"`, `"+/8="`},
		{"bytes", `null`, `null`},
		{"four", `"AQIDBA=="`, `"AQIDBA=="`},
		{"time", `"2026-11-28T10:00:00.123456789+01:00"`, `"2026-11-28T09:00:00.123456789Z"`},
		{"took", `"1.5s"`, `"1.5s"`},
		{"took", `"-90m1us"`, `"-5400.000001s"`},
		{"any", `{"b":[1,1.5,null,true,"x"],"a":{}}`, `{"a":{},"b":[1,1.5,null,true,"x"]}`},
		{"any", `18446744073709551615`, `18446744073709551615`},
		{"any", `-0`, `-0`},
		{"list", `[[1, 2, 3]]`, `[1,2,3]`},
		{"list", `[null]`, `null`},
		{"list", `[[]]`, `[]`},
		{"pair", `[["a", "b"]]`, `["a","b"]`},
		{"grid", `[[[1], [], [-128]]]`, `[[1],[],[-128]]`},
		{"order", `{"id": 9007199254740993, "lines": [{"Name": "milk", "Price": 1.25, "Photo": "aGk", "Took": "1m"}]}`,
			`{"id":9007199254740993,"lines":[{"Name":"milk","Price":1.25,"Photo":"aGk=","Took":"60s",` +
				`"At":"0001-01-01T00:00:00Z"}]}`},
		{"order", `{"by": {"by": {"id": 1}, "lines": null}, "notes": {"z": "1", "a": "2"}}`,
			`{"id":0,"lines":null,"notes":{"a":"2","z":"1"},"by":{"id":0,"lines":null,"by":{"id":1,"lines":null}}}`},
		{"orders", `[[{"id": 1}, null]]`, `[{"id":1,"lines":null},null]`},
		{"pointer", `[null]`, `null`},
		{"pointer", `5`, `5`},
		{"byInt", `{"1": "a", "-2": "b"}`, `{"-2":"b","1":"a"}`},
		{"byBool", `{"true": 1}`, `{"true":1}`},
		{"byTime", `{"2026-11-28T09:00:00Z": 1}`, `{"2026-11-28T09:00:00Z":1}`},
		{"pairs", ``, `[[[1,2],"a"]]`},
		{"two", `7`, `[7,"1s"]`},
		{"sum", `[1]`, `1`},
		{"sum", `[1, 2, 3]`, `6`},
		{"nan", ``, `["NaN","Infinity","-Infinity",1e+21,1e-07,0.1]`},
	} {
		w := ask(g, "POST", "/rpc/"+c.function, c.body)
		require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", c.function, c.body, w.Body)
		require.Equal(t, c.want+"\n", w.Body.String(), "%s %s", c.function, c.body)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Regexp(t, `^broach;dur=[0-9.]+$`, w.Header().Get("Server-Timing"))
	}
}

func TestIntegersOf64BitsAsTexts(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	for _, c := range []struct{ path, body, accept, want string }{
		{"/rpc/add?int64=string", `[1, 2]`, "", `"3"`},
		{"/rpc/add", `[1, 2]`, "application/json; int64=string", `"3"`},
		{"/rpc/add", `[1, 2]`, "text/html, application/json;q=0.5;int64=string", `"3"`},
		{"/rpc/int8?int64=string", `1`, "", `1`},
		{"/rpc/any?int64=string", `{"a": [1, 1.5]}`, "", `{"a":["1",1.5]}`},
		{"/rpc/order?int64=string", `{"id": 9007199254740993}`, "", `{"id":"9007199254740993","lines":null}`},
		{"/rpc/uint64?int64=string", `"18446744073709551615"`, "", `"18446744073709551615"`},
		{"/rpc/took?int64=string", `"1s"`, "", `"1s"`},
	} {
		w := ask(g, "POST", c.path, c.body, "Accept", c.accept)
		require.Equal(t, c.want+"\n", w.Body.String(), "%s", c.path)
	}
}

// What does not fit is 400, names the argument, and calls nothing.
func TestBadArguments(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, c := range []struct{ function, body, want string }{
		{"add", `[1]`, "add(int, int) int takes 2 arguments, there are 1"},
		{"add", `[1, 2, 3]`, "takes 2 arguments, there are 3"},
		{"add", `[1, 1.5]`, "argument 2 (addend): 1.5 is no int"},
		{"add", `["x", 1]`, `argument 1 (augend): "x" is no int`},
		{"add", `["0x10", 1]`, `"0x10" is no int`},
		{"add", `[" 1", 1]`, `" 1" is no int`},
		{"add", `[null, 1]`, "argument 1 (augend): null is no int"},
		{"add", `[1e19, 1]`, "out of the range of int"},
		{"add", `[1e999999999999999999999, 1]`, "is no int"},
		{"list", `[1, 2]`, "a list that is one argument is written in another array"},
		{"sum", `[]`, "takes 2 arguments"},
		{"sum", `[1, 2, "x"]`, `argument 3: "x" is no int`},
		{"int8", `128`, "argument 1: 128 is out of the range of int8"},
		{"int8", `-129`, "out of the range of int8"},
		{"uint64", `-1`, "out of the range of uint64"},
		{"uint64", `18446744073709551616`, "is no uint64"},
		{"float", `1e400`, "out of the range of float64"},
		{"float", `"nan"`, `"nan" is no float64`},
		{"float32", `1e39`, "out of the range of float32"},
		{"bool", `1`, "1 is no bool"},
		{"text", `1`, "1 is no string"},
		{"bytes", `"%%"`, "is no base64"},
		{"bytes", `[1, 2]`, "takes 1 arguments"},
		{"four", `"AQID"`, ""},
		{"time", `"tomorrow"`, "is no time of RFC 3339"},
		{"time", `1764320400`, "is no time"},
		{"took", `5`, "write it as a text with a unit"},
		{"took", `"5"`, "is no duration"},
		{"any", `18446744073709551616`, "has more than 64 bits"},
		{"any", `{"a": [1e999]}`, "at a[0]: 1e999 is out of the range"},
		{"pair", `[["a"]]`, "an array of 2 values is wanted, there are 1"},
		{"order", `{"lines": [{"Price": 1}, {"Price": "x"}]}`, `argument 1: at lines[1].Price: "x" is no float64`},
		{"order", `{"lins": []}`, `has no field "lins"; its fields are id, lines, notes, by`},
		{"order", `"x"`, `is no struct`},
		{"byInt", `{"x": "a"}`, `at x: "x" is no int`},
		{"byInt", `{"1": "a", "1.0": "b"}`, "another key is the same value"},
		{"byPair", `{"x": "a"}`, "keys that are a array cannot be said in JSON"},
		{"any", `{"a": 1, "a": 2}`, `the key "a" is there twice`},
		{"any", `{"a": 1, "\u0061": 2}`, `the key "a" is there twice`},
		{"any", `1 2`, "something follows the value"},
		{"any", "\"\xff\"", "not UTF-8"},
		{"any", `"\ud800"`, "half of a surrogate pair"},
		{"any", `"\ud800\u0041"`, "half of a surrogate pair"},
		{"any", `"\udc00\ud800"`, "half of a surrogate pair"},
		{"any", "\"a\nb\"", "control character"},
		{"any", `"\x41"`, "no such escape"},
		{"any", `"\u12"`, "four hexadecimal digits"},
		{"any", `"abc`, "has no end"},
		{"any", `"abc\`, "has no end"},
		{"any", `[1,]`, "a value is expected"},
		{"any", `[1 2]`, "a comma is expected"},
		{"any", `[`, "it ends too early"},
		{"any", `{"a"}`, "a colon is expected"},
		{"any", `{a: 1}`, "a key in quotes is expected"},
		{"any", `{"a":1,}`, "a key in quotes is expected"},
		{"any", `01`, "a number is expected"},
		{"any", `-`, "a number is expected"},
		{"any", `1.`, "a digit is expected"},
		{"any", `1e`, "a digit is expected"},
		{"any", `+1`, "a value is expected"},
		{"any", `nul`, "a value is expected"},
		{"any", `NaN`, "a value is expected"},
		{"any", "\ufeff1", "a value is expected"},
		{"any", deep, "nested more than 64 deep"},
		{"any", "[" + strings.Repeat("1,", 1_000_000) + "1]", "more than 1,000,000 values"},
	} {
		w := ask(g, "POST", "/rpc/"+c.function, c.body)
		p := problemOf(t, w)
		require.Equal(t, http.StatusBadRequest, w.Code, "%s %.40s", c.function, c.body)
		require.Contains(t, p["detail"], c.want, "%s %.40s", c.function, c.body)
		require.Equal(t, "urn:broach:invalid-argument", p["type"])
		require.Equal(t, "InvalidArgument", p["code"])
		require.Equal(t, "no", p["executed"])
	}
}

func TestResultsThatJSONCannotHold(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	for function, want := range map[string]string{"latin1": "not UTF-8", "year10000": "beyond the years",
		"mixed": `two keys of a map in the result are "1"`} {
		w := ask(g, "POST", "/rpc/"+function, "")
		p := problemOf(t, w)
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.Equal(t, "urn:broach:not-representable", p["type"])
		require.Contains(t, p["detail"], want)
		require.Equal(t, "yes", p["executed"])
	}
}

// Arguments and results of msgpack keep the types that they have.
func TestMsgpackBodies(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	const msgpack = "application/msgpack"
	for _, c := range []struct{ function, body, want string }{
		{"add", "\x92\x01\x02", "\xd3\x00\x00\x00\x00\x00\x00\x00\x03"},
		{"text", "\xa2hi", "\xa2hi"},
		{"text", " ", ""}, // the integer 32
		{"bytes", "\xc4\x02hi", "\xc4\x02hi"},
		{"none", "", "\xc0"},
		{"took", "\xce\x3b\x9a\xca\x00", "\xd3\x00\x00\x00\x00\x3b\x9a\xca\x00"},
		{"byInt", "\x81\x01\xa1a", "\x81\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xa1a"},
		{"add", "\x91\x01", ""}, {"add", "\x92\x01", ""}, {"add", "\x92\x01\xa1x", ""},
	} {
		w := ask(g, "POST", "/rpc/"+c.function, c.body, "Content-Type", msgpack, "Accept", msgpack)
		if c.want == "" {
			require.Equal(t, http.StatusBadRequest, w.Code, "%x", c.body)
			require.Equal(t, "no", problemOf(t, w)["executed"])
			continue
		}
		require.Equal(t, c.want, w.Body.String(), "%s %s", c.function, w.Body)
		require.Equal(t, msgpack, w.Header().Get("Content-Type"))
	}
	w := ask(g, "POST", "/rpc/took", `"1s"`, "Accept", msgpack)
	require.Equal(t, "\xd3\x00\x00\x00\x00\x3b\x9a\xca\x00", w.Body.String())
	require.Equal(t, http.StatusNotAcceptable, ask(g, "POST", "/rpc/add?mode=all", "[1, 2]", "Accept", msgpack).Code)
}

package codec

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

type FieldBase struct {
	ID    int
	Name  string
	Level int `json:"level"`
}

type FieldOther struct {
	Name string
	Only string
}

type hiddenBase struct{ Seen string }

type inner struct{ Deep, Name string }

type FieldMiddle struct{ inner }

// "struct: exported fields; tag order msgpack, json, field name." Without msgpack tags the fields and the rules of
// embedding are those of encoding/json.
func TestFieldsAreThoseOfJSON(t *testing.T) {
	type recursive struct {
		*FieldBase
		Name string
		Next *struct{ N int } `json:"next,omitempty"`
	}
	for name, v := range map[string]any{
		"plain":                FieldBase{ID: 1},
		"embedded":             struct{ FieldBase }{},
		"embedded pointer":     struct{ *FieldBase }{&FieldBase{}},
		"nil embedded pointer": struct{ *FieldBase }{},
		"embedded unexported":  struct{ hiddenBase }{hiddenBase{"s"}},
		"embedded twice over":  struct{ FieldMiddle }{},
		"embedded with a name": struct {
			FieldBase `json:"base"`
		}{},
		"the outer field wins": struct {
			FieldBase
			Name string
		}{FieldBase{Name: "inner"}, "outer"},
		"the outer field wins last": struct {
			Name string
			FieldBase
		}{"outer", FieldBase{Name: "inner"}},
		"deeper names lose": struct {
			FieldMiddle
			FieldOther
		}{},
		"a tag wins over a name": struct {
			FieldBase
			Tagged struct{} `json:"ID"`
		}{},
		"options": struct {
			A int    `json:",omitempty"`
			B []int  `json:"b,omitempty"`
			C string `json:"-"`
			D *int
		}{B: []int{}},
		"recursive": recursive{FieldBase: &FieldBase{}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			var want map[string]any
			require.NoError(t, json.Unmarshal(text, &want))
			text, err = json.Marshal(carried[map[string]any](t, v))
			require.NoError(t, err)
			var got map[string]any
			require.NoError(t, json.Unmarshal(text, &got))
			require.Equal(t, want, got)
		})
	}
}

func TestMsgpackTagComesFirst(t *testing.T) {
	v := struct {
		A int `msgpack:"x" json:"y"`
		B int `msgpack:",omitempty" json:"z"`
		C int `msgpack:"-" json:"c"`
		D int `json:"d"`
	}{B: 1}
	require.Equal(t, map[string]any{"x": int64(0), "B": int64(1), "d": int64(0)}, carried[map[string]any](t, v))
}

// Embedded structs come back as they went, pointers to them made as needed.
func TestEmbeddedStructsAreDecoded(t *testing.T) {
	type message struct {
		*FieldBase
		FieldMiddle
		hiddenBase
		Text string
	}
	for _, sent := range []message{
		{FieldBase: &FieldBase{ID: 1}, FieldMiddle: FieldMiddle{inner{Deep: "d"}}, hiddenBase: hiddenBase{"s"},
			Text: "t"},
		{Text: "t"},
	} {
		require.Equal(t, sent, carried[message](t, sent))
	}
}

type Loop struct {
	*Loop
	A int
}

// A type that embeds itself has a first level only.
func TestATypeThatEmbedsItself(t *testing.T) {
	require.Equal(t, map[string]any{"A": int64(1)}, carried[map[string]any](t, Loop{A: 1, Loop: &Loop{A: 2}}))
}

// A field that a hostile message names twice holds the last value.
func TestRepeatedFields(t *testing.T) {
	b, err := received[FieldBase](fromHex(t, "9182a2494401a2494402"))
	require.NoError(t, err)
	require.Equal(t, 2, b.ID)
	_, err = received[FieldBase](fromHex(t, "91810102"))
	require.ErrorContains(t, err, "an int does not fit string")
}

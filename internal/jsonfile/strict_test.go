package jsonfile

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type common struct{ Region string }

// shop is what an application may want to read.
type shop struct {
	common
	Port  int8 `json:"port,omitempty"`
	Cache struct {
		Size int `json:"size"`
	} `json:"cache"`
	Shelves []struct{ Name string }
	ByDay   map[string]*struct{ Open bool }
	Since   time.Time
	Any     any
	Secret  string `json:"-"`
}

func TestDecodeStrictly(t *testing.T) {
	var got shop
	mistakes, err := DecodeStrictly("app", json.RawMessage(`{"Region": "eu", "PORT": 7, "cache": {"size": 3},
		"shelves": [{"Name": "a"}], "ByDay": {"mon": {"open": true}, "tue": null}, "Since": "2020-01-02T03:04:05Z",
		"Any": {"x": [1]}}`), &got)
	require.NoError(t, err)
	require.Empty(t, mistakes)
	require.Equal(t, []any{"eu", int8(7), 3, "a", true, 2020}, []any{got.Region, got.Port, got.Cache.Size,
		got.Shelves[0].Name, got.ByDay["mon"].Open, got.Since.Year()})
}

func TestWhatIsDecodedStrictlyHasNoOtherKeys(t *testing.T) {
	const near, unknown, holds = "the nearest known key is ", "unknown key", "must be what Go's type "
	tests := map[string][]Mistake{
		`{"prt": 1, "regoin": "eu"}`: {{"app.prt", unknown, near + "app.port"},
			{"app.regoin", unknown, near + "app.Region"}},
		`{"cache": {"sise": 3}}`:            {{"app.cache.sise", unknown, near + "app.cache.size"}},
		`{"Shelves": [{}, {"Nam": 1}]}`:     {{"app.Shelves[1].Nam", unknown, near + "app.Shelves[1].Name"}},
		`{"ByDay": {"mon": {"opn": true}}}`: {{"app.ByDay.mon.opn", unknown, near + "app.ByDay.mon.Open"}},
		`{"Secret": 1}`:                     {{"app.Secret", unknown, near + "app.Shelves"}},
		`{"port": "s3cret"}`:                {{"app.port", "string (not shown)", holds + "int8 can hold"}},
		`{"port": 300}`:                     {{"app.port", "number (not shown)", holds + "int8 can hold"}},
		`[]`:                                {{"app", "array (not shown)", holds + "jsonfile.shop can hold"}},
		`{"x": 1, "cache": {"size": "many"}}`: {{"app.x", unknown, near + "app.Any"},
			{"app.cache.size", "string (not shown)", holds + "int can hold"}},
	}
	for text, want := range tests {
		mistakes, err := DecodeStrictly("app", json.RawMessage(text), new(shop))
		require.NoError(t, err, text)
		require.Equal(t, want, mistakes, text)
	}
	mistakes, err := DecodeStrictly("app", json.RawMessage(`{"x": 1}`), &struct{}{})
	require.NoError(t, err)
	require.Equal(t, []Mistake{{"app.x", unknown, "no key is known here"}}, mistakes)
}

func TestWhatCannotBeDecodedIsAnError(t *testing.T) {
	for _, into := range []any{nil, shop{}, (*shop)(nil)} {
		_, err := DecodeStrictly("app", json.RawMessage(`{}`), into)
		require.Error(t, err, "%T", into)
	}
	_, err := DecodeStrictly("app", json.RawMessage(`{"Since": "soon"}`), new(shop))
	require.Error(t, err)

	var named struct {
		Common struct{ Region string }
		shop   `json:"Shop"`
	}
	_, err = DecodeStrictly("app", json.RawMessage(`{"Region": "eu"}`), &named)
	require.ErrorContains(t, err, "unknown field", "it stands in an embedded struct that has a name of its own")
}

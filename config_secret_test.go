package broach

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// someKey is a key as a file has it.
func someKey(n int) string {
	key := sha256.Sum256(fmt.Append(nil, n))
	return base64.StdEncoding.EncodeToString(key[:])
}

// "Whoever wanted keys does not get a node without": what is a key stands under a name that is not known, in a file
// that gives none.
func TestKeysUnderAnyOtherNameAreRefused(t *testing.T) {
	list, one := `["`+someKey(1)+`", "`+someKey(2)+`"]`, `"`+someKey(3)+`"`
	refused := []string{
		`{"clusterKeys": LIST}`, `{"settings": {"keys": LIST}}`, `{"parameters": {"keys": LIST}}`, `{"broach": [{"params": {"keys": LIST}}]}`,
		`{"params": {"secret": ONE}}`, `{"params": {"psk": LIST}}`, `{"params": {"encryption": {"with": ONE}}}`, `{"params": {"kеуs": LIST}}`,
		`{"params": {"k\u200beys": LIST}}`, `{"params": {"threadPool": {"secrets": LIST}}}`, `{"params": {"vault": {ONE: 1}}}`,
	}
	for _, text := range refused {
		text = strings.NewReplacer("LIST", list, "ONE", one).Replace(text)
		_, err := parseConfig("f", []byte(text))
		require.ErrorContains(t, err, "params.keys", text)
	}
	taken := []string{
		`{"apiKey": ONE}`, `{"web": {"session": ONE}}`, `{"list": []}`, `{"list": [[], {}, 1, "x", null]}`,
		`{"params": {"secret": "x", "region": [null, 1]}}`,
		`{"cookies": LIST, "params": {"keys": LIST}}`, `{"params": {"keys": LIST, "old": LIST}}`,
	}
	for _, text := range taken {
		text = strings.NewReplacer("LIST", list, "ONE", one).Replace(text)
		_, err := parseConfig("f", []byte(text))
		require.NoError(t, err, text)
	}
}

// A key at the wrong place is a mistake, and no part of what is said of it.
func TestNoMistakeShowsAKey(t *testing.T) {
	for _, key := range fileKeys {
		for _, value := range []string{`"KEY"`, `["KEY"]`, `{"keys": ["KEY"]}`, `{"KEY": 1}`, `[["KEY"], "x"]`} {
			text := value
			for path := key.path; path != ""; {
				object, leaf := objectOf(path)
				text, path = fmt.Sprintf(`{"twice": 1, "twice": 2, %q: %s}`, leaf, text), object
			}
			_, err := parseConfig("f", []byte(strings.ReplaceAll(text, "KEY", someKey(1))))
			require.Error(t, err)
			require.NotContains(t, err.Error(), someKey(1)[:12], key.path)
		}
	}
	secret := someKey(1)
	for _, cfg := range []Config{{Advertise: secret}, {Addr: secret}, {Join: []string{secret}}, {LogLevel: secret}} {
		err := cfg.validate()
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret[:12])
	}
	cfg, err := parseConfig("f", []byte(`{"params": {"keys": ["`+someKey(2)+`"], "`+secret+`": 1}}`))
	require.NoError(t, err)
	require.Len(t, cfg.warnings, 1)
	require.NotContains(t, cfg.warnings[0], secret[:12])
}

func TestIsKeyText(t *testing.T) {
	key := sha256.Sum256([]byte("a"))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		require.True(t, isKeyText(encoding.EncodeToString(key[:])))
		require.False(t, isKeyText(encoding.EncodeToString(key[:31])))
		require.False(t, isKeyText(encoding.EncodeToString(append(key[:], 1))))
	}
	for _, text := range []string{"", "=", "params", "10.0.0.1:7000", strings.Repeat(" ", 44)} {
		require.False(t, isKeyText(text), text)
	}
}

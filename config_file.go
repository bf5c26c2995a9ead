package broach

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// maxConfigFile is about a thousand times what a configuration needs; a larger file is a wrong path.
const maxConfigFile = 1 << 20

// LoadConfig reads a Config from a JSON file with the keys of the Python original. A key that is left out keeps its default.
// Times are seconds, fractions allowed, or texts such as "1.5s". The error names every mistake, each with its key. An unknown
// key that resembles a known one is such a mistake, as is one that holds what looks like keys of the cluster where there are none in
// their place; another one is passed over, which Start logs as a warning.
// A file that cannot be opened is an error that errors.Is compares with fs.ErrNotExist and the like.
func LoadConfig(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("broach: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("broach: %w", err)
	}
	return parseConfig(path, data)
}

// parseConfig is LoadConfig for a file that has been read; name is the file's, for messages.
func parseConfig(name string, data []byte) (Config, error) {
	if len(data) > maxConfigFile {
		return Config{}, fmt.Errorf("broach: %s: larger than %d bytes", name, maxConfigFile)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors put a byte order mark before UTF-8
	if err := checkJSON(data); err != nil {
		return Config{}, fmt.Errorf("broach: %s: %w", name, err)
	}
	f := configFile{name: name, raw: make(map[string]json.RawMessage)}
	f.read(data)
	if len(f.mistakes) > 0 {
		return Config{}, f.err()
	}
	return f.cfg, nil
}

// configFile is one file on its way to a Config.
type configFile struct {
	name     string
	raw      map[string]json.RawMessage // the values of known keys by path, as the file has them
	cfg      Config
	ip       netip.Addr // rpcIp; invalid until given
	port     uint16     // rpcPort
	mistakes []mistake  // naming paths, not fields
	strays   []stray    // what is passed over
}

func (f *configFile) read(data []byte) {
	for _, path := range duplicateKeys(data) {
		f.mistakes = append(f.mistakes, mistake{path, "given twice", "must stand once"})
	}
	f.collect("", data)
	f.strayKeys()
	for _, key := range fileKeys {
		if raw, ok := f.raw[key.path]; ok && !key.set(f, raw) {
			f.reject(key.path, raw, key.want)
		}
	}
	f.setAddr()
	for _, m := range f.cfg.mistakes() {
		f.mistakes = append(f.mistakes, f.inFile(m))
	}
}

// collect notes the values of known keys, going down into known objects, and says what is wrong with all others.
func (f *configFile) collect(path string, raw json.RawMessage) {
	members, ok := decodeJSON[map[string]json.RawMessage](raw)
	if !ok {
		f.reject(path, raw, "must be an object")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := joinKey(path, name)
		key, known := findKey(at)
		switch {
		case !known:
			f.unknown(path, name, members[name])
		case key.set == nil:
			f.collect(at, members[name])
		default:
			f.raw[at] = members[name]
		}
	}
}

// unknown refuses a key that is surely meant to be another: a node must not start without what its operator believes to have
// said. Others are passed over with a warning.
func (f *configFile) unknown(object, name string, raw json.RawMessage) {
	at := joinKey(object, name)
	if meant := meantKey(object, name); meant != "" {
		f.mistakes = append(f.mistakes, mistake{at, "unknown key", "the nearest known key is " + meant})
		return
	}
	f.strays = append(f.strays, stray{at, raw})
	f.warn(at, "unknown key, ignored")
}

// setAddr joins what the file keeps under two keys, of which either may be left out.
func (f *configFile) setAddr() {
	_, hasPort := f.raw["params.rpcPort"]
	if !f.ip.IsValid() && !hasPort {
		return
	}
	ip := f.ip
	if !ip.IsValid() {
		ip = netip.MustParseAddrPort(defaultAddr).Addr()
	}
	f.cfg.Addr = netip.AddrPortFrom(ip, f.port).String()
}

func (f *configFile) warn(path, text string) {
	f.cfg.warnings = append(f.cfg.warnings, fmt.Sprintf("%s: %s: %s", f.name, path, text))
}

func (f *configFile) reject(path string, raw json.RawMessage, want string) {
	f.mistakes = append(f.mistakes, mistake{cmp.Or(path, "the whole file"), shownJSON(path, raw), want})
}

// inFile puts a mistake of the Config in the words of the file: its key, and the value as it stands there.
func (f *configFile) inFile(m mistake) mistake {
	for _, key := range fileKeys {
		rest, ok := cutField(m.field, key.field)
		if !ok {
			continue
		}
		if raw := f.raw[key.path]; rest == "" && !bytes.HasPrefix(raw, []byte("{")) {
			m.value = shownJSON(key.path, raw)
		}
		m.field = key.path + rest
		break
	}
	return m
}

// cutField cuts a field from the front of one that it is or contains: "Join" leaves "[1]" of "Join[1]".
func cutField(inner, field string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(inner, field)
	return rest, ok && field != "" && (rest == "" || rest[0] == '[' || rest[0] == '.')
}

func (f *configFile) err() error {
	var errs []error
	for _, m := range f.mistakes {
		errs = append(errs, fmt.Errorf("broach: %s: %s: %s: %s", f.name, m.field, m.value, m.want))
	}
	return errors.Join(errs...)
}

// shownJSON is a value on one line, for a message. Messages are logged, so the secrets in params.keys stay out of them, and with
// them whatever stands for an object that may hold them, or looks like one.
func shownJSON(path string, raw json.RawMessage) string {
	if v, _ := decodeJSON[any](raw); path == "" || path == "params" || path == "params.keys" || holdsKeyText(v) {
		return hidden
	}
	var line bytes.Buffer
	_ = json.Compact(&line, raw) // raw is part of a checked file
	return shorten(line.String())
}

// decodeJSON reads one JSON value. null is no value of any key here, while encoding/json would take it for every type.
func decodeJSON[T any](raw json.RawMessage) (v T, ok bool) {
	ok = !bytes.Equal(raw, []byte("null")) && json.Unmarshal(raw, &v) == nil
	return v, ok
}

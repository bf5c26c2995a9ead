package broach

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"broach/internal/jsonfile"
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
	file, err := fileSchema.Read(data)
	if err != nil {
		return Config{}, fmt.Errorf("broach: %s: %w", name, err)
	}
	f := configFile{File: file, name: name}
	f.read()
	if len(f.Mistakes) > 0 {
		return Config{}, f.err()
	}
	return f.cfg, nil
}

// fileSchema is what the file may say. Secrets stay out of its messages, and with them whatever stands for an object that may hold them.
var fileSchema = jsonfile.Schema{
	Keys:     knownKeys(),
	IsSecret: isKeyText,
	Hides:    func(path string) bool { return path == "params" || path == "params.keys" },
	Guess:    meantKeys,
}

func knownKeys() (list []jsonfile.Key) {
	for _, k := range fileKeys {
		list = append(list, jsonfile.Key{Path: k.path, IsObject: k.set == nil})
	}
	return list
}

// configFile is one file on its way to a Config.
type configFile struct {
	*jsonfile.File
	name string
	cfg  Config
	ip   netip.Addr // rpcIp; invalid until given
	port uint16     // rpcPort
}

func (f *configFile) read() {
	for _, s := range f.Strays { // a node that passes over what is nothing like a known key says so
		f.warn(s.Path, "unknown key, ignored")
	}
	f.strayKeys()
	for _, key := range fileKeys {
		if raw, ok := f.Raw[key.path]; ok && !key.set(f, raw) {
			f.Reject(key.path, raw, key.want)
		}
	}
	f.setAddr()
	for _, m := range f.cfg.mistakes() {
		f.Mistakes = append(f.Mistakes, f.inFile(m))
	}
}

// setAddr joins what the file keeps under two keys, of which either may be left out.
func (f *configFile) setAddr() {
	_, hasPort := f.Raw["params.rpcPort"]
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

// inFile puts a mistake of the Config in the words of the file: its key, and the value as it stands there.
func (f *configFile) inFile(m mistake) jsonfile.Mistake {
	for _, key := range fileKeys {
		rest, ok := cutField(m.field, key.field)
		if !ok {
			continue
		}
		if raw := f.Raw[key.path]; rest == "" && !bytes.HasPrefix(raw, []byte("{")) {
			m.value = f.Shown(key.path, raw)
		}
		m.field = key.path + rest
		break
	}
	return jsonfile.Mistake{Path: m.field, Value: m.value, Want: m.want}
}

// cutField cuts a field from the front of one that it is or contains: "Join" leaves "[1]" of "Join[1]".
func cutField(inner, field string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(inner, field)
	return rest, ok && field != "" && (rest == "" || rest[0] == '[' || rest[0] == '.')
}

func (f *configFile) err() error {
	var errs []error
	for _, m := range f.Mistakes {
		errs = append(errs, fmt.Errorf("broach: %s: %s: %s: %s", f.name, m.Path, m.Value, m.Want))
	}
	return errors.Join(errs...)
}

package trace

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// When the library ships the conventions that we follow, semconv.go is to be replaced by them.
func TestTheShippedConventionsAreOlder(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.opentelemetry.io/otel")
	dir, err := list.Output()
	require.NoError(t, err)
	versions, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "semconv", "v1.*"))
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	require.Contains(t, schemaURL, "/1.45.0")
	for _, path := range versions {
		var minor, patch int
		_, err := fmt.Sscanf(filepath.Base(path), "v1.%d.%d", &minor, &patch)
		require.NoError(t, err, path)
		require.Less(t, minor, 45, "the library ships %s: use that in place of the constants of semconv.go", path)
	}
}

// What has not changed since is as it is shipped.
func TestTheConstantsAreThoseThatAreShipped(t *testing.T) {
	for ours, shipped := range map[string]attribute.Key{
		rpcSystemName: semconv.RPCSystemNameKey, rpcMethod: semconv.RPCMethodKey,
		rpcMethodOriginal: semconv.RPCMethodOriginalKey, errorType: semconv.ErrorTypeKey,
		serverAddress: semconv.ServerAddressKey, peerAddress: semconv.NetworkPeerAddressKey,
		peerPort: semconv.NetworkPeerPortKey, messagingSystem: semconv.MessagingSystemKey,
		messagingDestination:   semconv.MessagingDestinationNameKey,
		messagingOperation:     semconv.MessagingOperationNameKey,
		messagingOperationType: semconv.MessagingOperationTypeKey,
	} {
		require.Equal(t, string(shipped), ours)
	}
	require.Equal(t, "rpc.response.status_code", string(semconv.RPCResponseStatusCodeKey), "rpc.status_code by now")
}

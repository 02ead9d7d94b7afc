# The agent's image, as ./Dockerfile makes it: the same user, places, entry and labels.
{ dockerTools
, tini
, tmux
, git
, cacert
, bashInteractive
, coreutils
, cm-agent-static
, revision
}:
let
  state = "/var/lib/cm-agent";
  seconds = n: n * 1000000000;
in
dockerTools.buildLayeredImage {
  name = "cm-agent";
  tag = cm-agent-static.version;
  contents = [ cm-agent-static tini tmux git cacert bashInteractive coreutils ];
  # The home is in the volume, so that log-ins of tools and repositories outlive the container.
  fakeRootCommands = ''
    mkdir -p .${state}/home ./etc ./home ./tmp
    ln -s ${state}/home ./home/agent
    echo 'root:x:0:0::/root:/bin/bash' > ./etc/passwd
    echo 'agent:x:1000:1000::${state}/home:/bin/bash' >> ./etc/passwd
    echo 'root:x:0:' > ./etc/group
    echo 'agent:x:1000:' >> ./etc/group
    chmod 1777 ./tmp
    chmod 0700 .${state}/home
    chown -R 1000:1000 .${state}
  '';
  config = {
    User = "agent";
    Entrypoint = [ "tini" "--" "cm-agent" ];
    Cmd = [ "serve" ];
    StopSignal = "SIGTERM";
    Volumes.${state} = { };
    Healthcheck = {
      Test = [ "CMD" "cm-agent" "health" ];
      Interval = seconds 5;
      Timeout = seconds 5;
      StartPeriod = seconds 15;
      Retries = 3;
    };
    Env = [
      "PATH=/bin"
      "LANG=C.UTF-8"
      "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
      "CM_AGENT_CONTAINER=1"
      "CM_AGENT_STATE_DIR=${state}/state"
      "CM_AGENT_RUNTIME_DIR=${state}/run"
      # Beside a keeper it is not process 1, and reaps all the same.
      "TINI_SUBREAPER=1"
    ];
    Labels = {
      "io.cm-fleet.image" = "agent";
      "org.opencontainers.image.title" = "cm-agent";
      "org.opencontainers.image.version" = cm-agent-static.version;
      "org.opencontainers.image.revision" = revision;
      "org.opencontainers.image.licenses" = "MIT OR Apache-2.0";
    };
  };
}

# rustup checks what it downloads; the release's own list of components stands for all of them.
apt_install rustup
export RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo
rustup toolchain install "$(tool rust)" --profile minimal --component clippy --component rustfmt --no-self-update
rustup default "$(tool rust)"
toolchain=$(echo "$RUSTUP_HOME"/toolchains/*)
for command in "$toolchain"/bin/*; do ln -sf "$command" /usr/local/bin/; done
list="$toolchain/lib/rustlib/multirust-channel-manifest.toml"
printf 'rust\trust\t%s\tsha256:%s\n' "$(tool rust)" "$(sha256sum <"$list" | cut -d' ' -f1)" | record
rm -rf "$RUSTUP_HOME/downloads" "$RUSTUP_HOME/tmp"

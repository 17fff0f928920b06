// A small project for each language of the image universal, as shell commands that begin in an empty folder: one dependency,
// a build, a test.

const apt = (name: string) =>
  `apt-get update --quiet=2 && apt-get install --yes --quiet=2 --no-install-recommends ${name}`

export const PROJECTS: Record<string, string> = {
  npm: `
npm init --yes >/dev/null
npm install --no-audit --no-fund is-odd@3.0.1
echo "const t = require('node:test'), a = require('node:assert'); t('odd', () => a.equal(require('is-odd')(3), true))" >odd.test.js
node --test`,
  pip: `
pip install --quiet iniconfig==2.1.0 six==1.17.0
echo 'import six
def test_six(): assert six.PY3' >test_six.py
pytest -q`,
  uv: `
uv venv --quiet && uv pip install --quiet six==1.17.0
.venv/bin/python -c 'import six; assert six.PY3'`,
  cargo: `
cargo init --quiet --name small
cargo add --quiet itoa@1
echo '#[cfg(test)] mod tests { #[test] fn number() { assert_eq!(itoa::Buffer::new().format(7), "7"); } }
fn main() {}' >src/main.rs
cargo test --quiet`,
  go: `
go mod init example.org/small
echo 'package small
import ("testing"; "github.com/pkg/errors")
func TestNew(t *testing.T) { if errors.New("x").Error() != "x" { t.Fail() } }' >small_test.go
go get github.com/pkg/errors@v0.9.1
go test ./...`,
  mvn: `
mkdir -p src/main/java src/test/java
cat >pom.xml <<'X'
<project><modelVersion>4.0.0</modelVersion><groupId>example</groupId><artifactId>small</artifactId><version>1</version>
<properties><maven.compiler.release>21</maven.compiler.release><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version><scope>test</scope></dependency></dependencies></project>
X
echo 'public class Small { static int two() { return 2; } }' >src/main/java/Small.java
echo 'public class SmallTest { @org.junit.Test public void two() { org.junit.Assert.assertEquals(2, Small.two()); } }' >src/test/java/SmallTest.java
mvn --batch-mode --quiet package
test -f target/small-1.jar`,
  gradle: `
mkdir -p src/main/java src/test/java
echo "apply plugin: 'java'
repositories { mavenCentral() }
dependencies { testCompile 'junit:junit:4.13.2' }" >build.gradle
echo 'public class Small { static int two() { return 2; } }' >src/main/java/Small.java
echo 'public class SmallTest { @org.junit.Test public void two() { org.junit.Assert.assertEquals(2, Small.two()); } }' >src/test/java/SmallTest.java
gradle --no-daemon --console=plain build
test -f build/libs/gradle.jar`,
  'C++': `
${apt('libfmt-dev')}
echo 'cmake_minimum_required(VERSION 3.20)
project(small CXX)
find_package(fmt REQUIRED)
add_executable(small small.cpp)
target_link_libraries(small fmt::fmt)
enable_testing()
add_test(NAME small COMMAND small)' >CMakeLists.txt
echo '#include <fmt/format.h>
int main() { return fmt::format("{}", 2) == "2" ? 0 : 1; }' >small.cpp
cmake -G Ninja -DCMAKE_CXX_COMPILER=clang++ -B build >/dev/null
cmake --build build && ctest --test-dir build`,
  Ruby: `
${apt('ruby-rainbow')}
printf 'source "https://rubygems.example"\\ngem "minitest"\\ngem "rainbow"\\n' >Gemfile
bundle install --local
echo 'require "minitest/autorun"
require "rainbow"
class Small < Minitest::Test; def test_text = assert_equal("two", Rainbow("two").to_str); end' >small_test.rb
bundle exec ruby small_test.rb`,
  PHP: `
mkdir -p dependency
echo '{"name":"example/dependency","version":"1.0.0","autoload":{"files":["two.php"]}}' >dependency/composer.json
${apt('php-psr-log')}
echo '<?php require "Psr/Log/autoload.php"; function two() { return 2; }' >dependency/two.php
echo '{"name":"example/small","repositories":[{"packagist.org":false},{"type":"path","url":"dependency"}],"require":{"example/dependency":"1.0.0"}}' >composer.json
COMPOSER_ALLOW_SUPERUSER=1 composer install --no-interaction --quiet
php -r 'require "vendor/autoload.php"; exit(two() === 2 && class_exists("Psr\\Log\\NullLogger") ? 0 : 1);'`,
}

/** One package each, fetched anew and used; versions that tools from years ago to now take. */
export const INSTALLS: Record<string, string> = {
  npm: `
export npm_config_cache=$PWD/cache
npm install --no-audit --no-fund is-odd@3.0.1
node -e "if (!require('is-odd')(3)) process.exit(1)"`,
  pip: `
python3 -m venv venv
venv/bin/pip install --quiet --no-cache-dir six==1.17.0
venv/bin/python -c 'import six; assert six.PY3'`,
  uv: `
uv venv --quiet && uv pip install --quiet --no-cache six==1.17.0
.venv/bin/python -c 'import six; assert six.PY3'`,
  cargo: `
export CARGO_HOME=$PWD/cargo
cargo init --quiet --name small --vcs none --edition 2021
printf '[dependencies]\\nitoa = "=1.0.10"\\n' >Cargo.toml.new
sed -i '/^\\[dependencies\\]/d' Cargo.toml && cat Cargo.toml.new >>Cargo.toml
echo 'fn main() { assert_eq!(itoa::Buffer::new().format(7), "7") }' >src/main.rs
cargo run --quiet`,
  // It imports nothing itself, so that the whole library of Go need not be compiled for it.
  go: `
export GOPATH=$PWD/go GOFLAGS=-modcacherw
go mod init example.org/small
go get golang.org/x/exp@v0.0.0-20230224173230-c95f2b4c22f2
echo 'package small
import "golang.org/x/exp/constraints"
func Less[T constraints.Ordered](a, b T) bool { return a < b }' >less.go
go build .`,
  // As an extension it is fetched before anything else, and without any plugin, of which there would be a hundred files.
  mvn: `
cat >pom.xml <<'X'
<project><modelVersion>4.0.0</modelVersion><groupId>example</groupId><artifactId>small</artifactId><version>1</version><packaging>pom</packaging>
<build><extensions><extension><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version></extension></extensions></build></project>
X
mvn --batch-mode --quiet -Dmaven.repo.local=$PWD/m2 validate
test -f m2/junit/junit/4.13.2/junit-4.13.2.jar`,
  gradle: `
echo "apply plugin: 'java'
repositories { mavenCentral() }
dependencies { compile 'junit:junit:4.13.2' }
task show { doLast { configurations.compile.each { println it.name } } }" >build.gradle
gradle --no-daemon --console=plain --gradle-user-home=$PWD/home show | grep junit-4.13.2.jar`,
  'apt-get': `
apt-get update --quiet=2 && apt-get install --yes --quiet=2 --reinstall hello
hello | grep Hello`,
}
